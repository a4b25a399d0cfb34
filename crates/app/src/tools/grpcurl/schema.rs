//! What descriptors say: services, methods, messages, enums (descriptor.proto).

use netshoot_wire::protobuf::{Value, read_fields};
use std::collections::BTreeMap;

/// A field of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    pub name: String,
    pub json: String,
    pub number: u32,
    /// FieldDescriptorProto.Type.
    pub kind: u32,
    /// With a dot in front.
    pub type_name: String,
    pub repeated: bool,
    pub required: bool,
    pub packed: Option<bool>,
    pub oneof: Option<usize>,
    pub optional: bool,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub fields: Vec<Field>,
    pub oneofs: Vec<String>,
    /// An entry of a map: fields 1 and 2.
    pub map_entry: bool,
    pub proto3: bool,
}

/// An enum: names and numbers.
pub type Enum = Vec<(String, i32)>;

/// A method of a service.
#[derive(Clone, Debug, Default)]
pub struct Method {
    pub name: String,
    pub input: String,
    pub output: String,
    pub client_streams: bool,
    pub server_streams: bool,
}

/// All that is known, by full names without a dot in front.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub files: BTreeMap<String, Vec<String>>,
    pub messages: BTreeMap<String, Message>,
    pub enums: BTreeMap<String, Enum>,
    pub services: BTreeMap<String, Vec<Method>>,
}

/// Deepest nesting of messages that is read.
const DEEPEST: usize = 32;

fn joined(package: &str, name: &str) -> String {
    match package {
        "" => name.into(),
        package => format!("{package}.{name}"),
    }
}

fn bare(name: String) -> String {
    name.strip_prefix('.').map(String::from).unwrap_or(name)
}

impl Schema {
    /// Takes a FileDescriptorProto; gives the files that it needs.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Vec<String>, String> {
        let fields = read_fields(bytes).map_err(|e| format!("a file's descriptor: {e}"))?;
        let last = |n: u32| {
            fields
                .iter()
                .rev()
                .find(|f| f.0 == n)
                .map(|f| f.1.text())
                .unwrap_or_default()
        };
        let (name, package, proto3) = (last(1), last(2), last(12) == "proto3");
        let needs: Vec<String> = fields
            .iter()
            .filter(|f| f.0 == 3)
            .map(|f| f.1.text())
            .collect();
        self.files.insert(name, needs.clone());
        for (number, value) in &fields {
            match number {
                4 => self.message(&package, value.bytes(), proto3, 0)?,
                5 => self.enumeration(&package, value.bytes())?,
                6 => self.service(&package, value.bytes())?,
                _ => {}
            }
        }
        Ok(needs)
    }

    /// Takes a FileDescriptorSet, as `protoc --descriptor_set_out` writes it.
    pub fn add_set(&mut self, bytes: &[u8]) -> Result<(), String> {
        let fields = read_fields(bytes).map_err(|e| format!("no set of descriptors: {e}"))?;
        for (number, value) in fields {
            if number == 1 {
                self.add(value.bytes())?;
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        package: &str,
        bytes: &[u8],
        proto3: bool,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("messages are nested too deep".into());
        }
        let fields = read_fields(bytes).map_err(|e| e.to_string())?;
        let name = fields
            .iter()
            .find(|f| f.0 == 1)
            .map(|f| f.1.text())
            .unwrap_or_default();
        let full = joined(package, &name);
        let mut message = Message {
            proto3,
            ..Message::default()
        };
        for (number, value) in &fields {
            match number {
                2 => message.fields.push(field(value.bytes())?),
                3 => self.message(&full, value.bytes(), proto3, depth + 1)?,
                4 => self.enumeration(&full, value.bytes())?,
                7 => {
                    let options = read_fields(value.bytes()).map_err(|e| e.to_string())?;
                    message.map_entry = options.iter().any(|o| o.0 == 7 && o.1.number() != 0);
                }
                8 => {
                    let inner = read_fields(value.bytes()).map_err(|e| e.to_string())?;
                    message.oneofs.push(
                        inner
                            .iter()
                            .find(|f| f.0 == 1)
                            .map(|f| f.1.text())
                            .unwrap_or_default(),
                    );
                }
                _ => {}
            }
        }
        self.messages.insert(full, message);
        Ok(())
    }

    fn enumeration(&mut self, package: &str, bytes: &[u8]) -> Result<(), String> {
        let fields = read_fields(bytes).map_err(|e| e.to_string())?;
        let name = fields
            .iter()
            .find(|f| f.0 == 1)
            .map(|f| f.1.text())
            .unwrap_or_default();
        let mut all = Vec::new();
        for (_, value) in fields.iter().filter(|f| f.0 == 2) {
            let one = read_fields(value.bytes()).map_err(|e| e.to_string())?;
            let get = |n: u32| one.iter().find(|f| f.0 == n).map(|f| f.1);
            let number = get(2).map_or(0, |v| v.number() as i32);
            all.push((get(1).map(Value::text).unwrap_or_default(), number));
        }
        self.enums.insert(joined(package, &name), all);
        Ok(())
    }

    fn service(&mut self, package: &str, bytes: &[u8]) -> Result<(), String> {
        let fields = read_fields(bytes).map_err(|e| e.to_string())?;
        let name = fields
            .iter()
            .find(|f| f.0 == 1)
            .map(|f| f.1.text())
            .unwrap_or_default();
        let mut methods = Vec::new();
        for (_, value) in fields.iter().filter(|f| f.0 == 2) {
            let one = read_fields(value.bytes()).map_err(|e| e.to_string())?;
            let text = |n: u32| {
                one.iter()
                    .find(|f| f.0 == n)
                    .map(|f| f.1.text())
                    .unwrap_or_default()
            };
            let set = |n: u32| one.iter().any(|f| f.0 == n && f.1.number() != 0);
            methods.push(Method {
                name: text(1),
                input: bare(text(2)),
                output: bare(text(3)),
                client_streams: set(5),
                server_streams: set(6),
            });
        }
        self.services.insert(joined(package, &name), methods);
        Ok(())
    }

    /// A method by `package.Service/Method` or with a dot.
    pub fn method(&self, name: &str) -> Option<(&str, &Method)> {
        let (service, method) = name.rsplit_once('/').or_else(|| name.rsplit_once('.'))?;
        let (service, methods) = self.services.get_key_value(service)?;
        methods
            .iter()
            .find(|m| m.name == method)
            .map(|m| (service.as_str(), m))
    }

    /// In the words of a .proto file.
    pub fn described(&self, name: &str) -> Option<String> {
        let short = name.rsplit('.').next().unwrap_or(name);
        if let Some(methods) = self.services.get(name) {
            let lines: String = methods.iter().map(|m| format!("  {}\n", rpc(m))).collect();
            return Some(format!(
                "{name} is a service:\nservice {short} {{\n{lines}}}\n"
            ));
        }
        if let Some(message) = self.messages.get(name) {
            let body = self.message_text(message);
            return Some(format!(
                "{name} is a message:\nmessage {short} {{\n{body}}}\n"
            ));
        }
        if let Some(values) = self.enums.get(name) {
            let lines: String = values
                .iter()
                .map(|(n, v)| format!("  {n} = {v};\n"))
                .collect();
            return Some(format!("{name} is an enum:\nenum {short} {{\n{lines}}}\n"));
        }
        let (_, method) = self.method(name)?;
        Some(format!("{name} is a method:\n{}\n", rpc(method)))
    }

    fn message_text(&self, message: &Message) -> String {
        let mut out = String::new();
        let mut open: Option<usize> = None;
        for f in &message.fields {
            let oneof = f.oneof.filter(|_| !f.optional);
            if open != oneof {
                if open.is_some() {
                    out += "  }\n";
                }
                if let Some(name) = oneof.and_then(|i| message.oneofs.get(i)) {
                    out += &format!("  oneof {name} {{\n");
                }
                open = oneof;
            }
            let indent = if open.is_some() { "    " } else { "  " };
            let entry = self
                .messages
                .get(f.type_name.trim_start_matches('.'))
                .filter(|m| m.map_entry);
            let kind = match entry {
                Some(entry) => {
                    let part = |n: u32| {
                        entry
                            .fields
                            .iter()
                            .find(|e| e.number == n)
                            .map(type_word)
                            .unwrap_or_default()
                    };
                    format!("map<{}, {}>", part(1), part(2))
                }
                None => {
                    let word = match (f.repeated, f.required, f.optional, message.proto3) {
                        (true, ..) => "repeated ",
                        (_, true, ..) => "required ",
                        (_, _, true, _) => "optional ",
                        (_, _, _, false) if f.oneof.is_none() => "optional ",
                        _ => "",
                    };
                    format!("{word}{}", type_word(f))
                }
            };
            out += &format!("{indent}{kind} {} = {};\n", f.name, f.number);
        }
        if open.is_some() {
            out += "  }\n";
        }
        out
    }
}

fn rpc(m: &Method) -> String {
    let side =
        |streams: bool, name: &str| format!("{}.{name}", if streams { "stream " } else { "" });
    format!(
        "rpc {} ( {} ) returns ( {} );",
        m.name,
        side(m.client_streams, &m.input),
        side(m.server_streams, &m.output)
    )
}

fn type_word(f: &Field) -> String {
    const WORDS: [&str; 19] = [
        "", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string",
        "group", "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
    ];
    match f.kind {
        10 | 11 | 14 => f.type_name.clone(),
        kind => WORDS.get(kind as usize).unwrap_or(&"").to_string(),
    }
}

fn field(bytes: &[u8]) -> Result<Field, String> {
    let fields = read_fields(bytes).map_err(|e| e.to_string())?;
    let get = |n: u32| fields.iter().rev().find(|f| f.0 == n).map(|f| f.1);
    let text = |n: u32| get(n).map(Value::text).unwrap_or_default();
    let number = |n: u32| get(n).map_or(0, |v| v.number());
    let options = get(8)
        .map(|v| read_fields(v.bytes()))
        .transpose()
        .map_err(|e| e.to_string())?
        .unwrap_or_default();
    let name = text(1);
    let json = if text(10).is_empty() {
        camel(&name)
    } else {
        text(10)
    };
    Ok(Field {
        json,
        name,
        number: u32::try_from(number(3)).unwrap_or(0),
        kind: u32::try_from(number(5)).unwrap_or(0),
        type_name: text(6),
        repeated: number(4) == 3,
        required: number(4) == 2,
        packed: options.iter().find(|o| o.0 == 2).map(|o| o.1.number() != 0),
        oneof: get(9).and_then(|v| usize::try_from(v.number()).ok()),
        optional: number(17) != 0,
    })
}

/// `foo_bar` as `fooBar`.
fn camel(name: &str) -> String {
    let (mut out, mut up) = (String::new(), false);
    for c in name.chars() {
        match c {
            '_' => up = true,
            c if up => {
                out.extend(c.to_uppercase());
                up = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_itself_is_read() {
        let mut schema = Schema::default();
        for file in crate::tools::echo_server::descriptors() {
            schema.add(&file).unwrap();
        }
        let text = schema.described("grpc.health.v1.Health").unwrap();
        assert!(text.contains("rpc Watch ( .grpc.health.v1.HealthCheckRequest ) returns ( stream .grpc.health.v1.HealthCheckResponse );"), "{text}");
        assert!(
            schema
                .described("grpc.health.v1.HealthCheckRequest")
                .unwrap()
                .contains("  string service = 1;")
        );
        assert_eq!(camel("a_b_c"), "aBC");
    }

    #[test]
    fn damaged_descriptors_are_refused_or_read() {
        let files = crate::tools::echo_server::descriptors();
        for file in files {
            netshoot_wire::fuzz::mutations(&file, 3_000, |bytes| {
                let mut schema = Schema::default();
                let _ = schema.add(bytes);
                let _ = schema.add_set(bytes);
                for name in schema.messages.keys().chain(schema.services.keys()) {
                    let _ = schema.described(name);
                }
            });
        }
    }
}
