//! What is done, decided from all that was asked.

use super::*;

impl Config {
    /// Decides what is done from all that was asked.
    pub fn settle(&mut self) -> Result<(), Mistake> {
        let o = &mut self.order;
        let upload = self.outs.iter().any(|x| x.upload.is_some());
        let kinds = [
            (self.head, "HEAD (-I, --head)"),
            (upload, "PUT (-T, --upload-file)"),
            (!self.form.is_empty(), "multipart formpost (-F, --form)"),
            (self.data.is_some() && !self.get, "POST (-d, --data)"),
        ];
        let used: Vec<&str> = kinds.iter().filter(|k| k.0).map(|k| k.1).collect();
        if let [one, other, ..] = used.as_slice() {
            let said = format!(
                "You can only select one HTTP request method! You asked for both {one} and {other}."
            );
            return Err(Mistake::Warned(said));
        }
        if self.content_disposition && self.include {
            let said = "showing headers and --remote-header-name cannot be combined";
            return Err(Mistake::Option(said.into()));
        }
        if o.fail && o.fail_with_body {
            let said = "You must select either --fail or --fail-with-body, not both.";
            return Err(Mistake::Option(said.into()));
        }
        if let Some(data) = &self.data {
            if self.get {
                self.url_query
                    .insert(0, String::from_utf8_lossy(data).into_owned());
                o.verb = if self.head { Verb::Head } else { Verb::Get };
            } else {
                o.verb = Verb::Post;
                o.body = Body::Bytes(data.clone());
                let json = self.json;
                o.content_type =
                    Some("application/x-www-form-urlencoded".into()).filter(|_: &String| !json);
            }
        } else if !self.form.is_empty() {
            o.verb = Verb::Post;
        } else if self.head {
            o.verb = Verb::Head;
        }
        if self.json && !self.get {
            let has = |n: &str| netshoot_host::web::request::own(&o.headers, n).is_some();
            let (kind, accept) = (has("Content-Type"), has("Accept"));
            if !kind {
                o.headers.push("Content-Type: application/json".into());
            }
            if !accept {
                o.headers.push("Accept: application/json".into());
            }
        }
        if !self.cookies.is_empty() {
            o.cookie = Some(self.cookies.join(";"));
        }
        if self.compressed {
            o.encoding = Some("deflate, gzip, zstd".into());
        }
        Ok(())
    }
}
