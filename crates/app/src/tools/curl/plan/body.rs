//! Options of a request's fields and body.

use super::*;

impl Reading<'_> {
    pub(super) fn of_body(
        &mut self,
        name: &str,
        v: &str,
        on: bool,
        shown: &str,
    ) -> Result<bool, Mistake> {
        match name {
            "data" | "data-ascii" | "data-binary" | "data-raw" | "data-urlencode" | "json" => {
                let (bytes, missing) = data::of(name, v)?;
                if let Some(file) = missing {
                    self.warn(&format!(
                        "Couldn't read data from file \"{file}\", this makes an empty POST."
                    ));
                }
                let c = self.config();
                match &mut c.data {
                    Some(data) => {
                        if name != "json" {
                            data.push(b'&');
                        }
                        data.extend(bytes);
                    }
                    None => c.data = Some(bytes),
                }
                c.json |= name == "json";
            }
            "url-query" => {
                let text = match v.strip_prefix('+') {
                    Some(raw) => raw.to_string(),
                    None => String::from_utf8_lossy(&data::of("data-urlencode", v)?.0).into_owned(),
                };
                self.config().url_query.push(text);
            }
            "form" | "form-string" => {
                let field = data::field(v, name == "form-string");
                let field = field.map_err(|why| {
                    self.warn(&why);
                    Mistake::option(shown, "is badly used here")
                })?;
                self.config().form.push(field);
            }
            "form-escape" => self.config().form_escape = on,
            "upload-file" => self.upload(v),
            "get" => self.config().get = on,
            "head" => self.config().head = on,
            "crlf" => self.config().order.crlf = on,
            "append" => self.config().order.append = on,
            "range" => self.range(v)?,
            "continue-at" => {
                if v == "-" {
                    self.config().resume_from_file = true;
                    self.config().order.resume = None;
                } else {
                    let n = natural(v, shown)?;
                    self.config().order.resume = i64::try_from(n).ok();
                    self.config().resume_from_file = false;
                }
            }
            "time-cond" => self.since(v),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn header(&mut self, v: &str, proxy: bool) {
        let mut lines = vec![v.to_string()];
        if let Some(file) = v.strip_prefix('@') {
            let text = match file {
                "-" => std::io::read_to_string(std::io::stdin()).ok(),
                file => std::fs::read(file)
                    .ok()
                    .map(|b| String::from_utf8_lossy(&b).into_owned()),
            };
            match text {
                Some(text) => {
                    lines = text
                        .lines()
                        .map(str::to_string)
                        .filter(|l| !l.is_empty())
                        .collect()
                }
                None => {
                    self.warn(&format!("Failed to open {file}!"));
                    return;
                }
            }
        }
        let order = &mut self.config().order;
        match proxy {
            true => order.proxy_headers.extend(lines),
            false => order.headers.extend(lines),
        }
    }
}
