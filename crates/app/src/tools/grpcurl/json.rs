//! Messages as JSON and back (protobuf.dev, "ProtoJSON Format").

use super::schema::{Field, Message, Schema};
use netshoot_wire::dns::digits::{base64, from_base64};
use netshoot_wire::protobuf::{
    Value as Wire, put_bytes, put_number, put_varint, read_fields, read_varint,
};
use serde_json::{Map, Number, Value, json};

/// Deepest nesting of messages.
const DEEPEST: usize = 64;

/// Writes a message.
pub fn encode(
    schema: &Schema,
    name: &str,
    value: &Value,
    unknown: bool,
) -> Result<Vec<u8>, String> {
    message(schema, name, value, unknown, 0)
}

fn message(
    schema: &Schema,
    name: &str,
    value: &Value,
    unknown: bool,
    depth: usize,
) -> Result<Vec<u8>, String> {
    let name = name.trim_start_matches('.');
    if depth > DEEPEST {
        return Err("messages are nested too deep".into());
    }
    if let Some(bytes) = special(name, value)? {
        return Ok(bytes);
    }
    let kind = schema
        .messages
        .get(name)
        .ok_or_else(|| format!("message {name} is not known"))?;
    let object = value
        .as_object()
        .ok_or_else(|| format!("message {name} is a JSON object, not {value}"))?;
    let mut out = Vec::new();
    for (key, value) in object {
        let Some(field) = kind
            .fields
            .iter()
            .find(|f| f.json == *key || f.name == *key)
        else {
            match unknown {
                true => continue,
                false => {
                    return Err(format!(
                        "message type {name} has no known field named {key}"
                    ));
                }
            }
        };
        if value.is_null() {
            continue;
        }
        let entry = schema
            .messages
            .get(field.type_name.trim_start_matches('.'))
            .filter(|m| m.map_entry);
        match (entry, field.repeated, value) {
            (Some(entry), _, Value::Object(pairs)) => {
                for (k, v) in pairs {
                    let mut pair = Vec::new();
                    let part = |n: u32| {
                        entry
                            .fields
                            .iter()
                            .find(|f| f.number == n)
                            .ok_or("a map without its parts")
                    };
                    single(
                        schema,
                        part(1)?,
                        &Value::String(k.clone()),
                        unknown,
                        depth,
                        &mut pair,
                    )?;
                    single(schema, part(2)?, v, unknown, depth, &mut pair)?;
                    put_bytes(&mut out, field.number, &pair);
                }
            }
            (None, true, Value::Array(all)) => {
                for one in all {
                    single(schema, field, one, unknown, depth, &mut out)?;
                }
            }
            (None, false, value) => single(schema, field, value, unknown, depth, &mut out)?,
            _ => return Err(format!("bad input for field {name}.{key}: {value}")),
        }
    }
    Ok(out)
}

fn single(
    schema: &Schema,
    f: &Field,
    value: &Value,
    unknown: bool,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let wrong = || format!("bad input for field {}: {value}", f.name);
    let text = || {
        value
            .as_str()
            .map(String::from)
            .unwrap_or_else(|| value.to_string())
    };
    let signed = || text().parse::<i64>().map_err(|_| wrong());
    let unsigned = || text().parse::<u64>().map_err(|_| wrong());
    let float = || match text().as_str() {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        other => other.parse::<f64>().map_err(|_| wrong()),
    };
    let key = |out: &mut Vec<u8>, kind: u64| put_varint(out, u64::from(f.number) << 3 | kind);
    match f.kind {
        1 => {
            key(out, 1);
            out.extend(float()?.to_le_bytes());
        }
        2 => {
            key(out, 5);
            out.extend((float()? as f32).to_le_bytes());
        }
        3 => put_number(out, f.number, signed()? as u64),
        5 => {
            let n = i32::try_from(signed()?).map_err(|_| wrong())?;
            put_number(out, f.number, i64::from(n) as u64);
        }
        4 => put_number(out, f.number, unsigned()?),
        13 => put_number(
            out,
            f.number,
            u64::from(u32::try_from(unsigned()?).map_err(|_| wrong())?),
        ),
        6 => {
            key(out, 1);
            out.extend(unsigned()?.to_le_bytes());
        }
        16 => {
            key(out, 1);
            out.extend(signed()?.to_le_bytes());
        }
        7 => {
            key(out, 5);
            out.extend(
                u32::try_from(unsigned()?)
                    .map_err(|_| wrong())?
                    .to_le_bytes(),
            );
        }
        15 => {
            key(out, 5);
            out.extend(i32::try_from(signed()?).map_err(|_| wrong())?.to_le_bytes());
        }
        17 | 18 => {
            let n = signed()?;
            put_number(out, f.number, ((n << 1) ^ (n >> 63)) as u64);
        }
        8 => {
            let set = match text().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(wrong()),
            };
            put_number(out, f.number, u64::from(set));
        }
        9 => put_bytes(out, f.number, value.as_str().ok_or_else(wrong)?.as_bytes()),
        12 => {
            let coded = value
                .as_str()
                .ok_or_else(wrong)?
                .replace('-', "+")
                .replace('_', "/");
            let missing = coded.len().next_multiple_of(4) - coded.len();
            let padded = coded + &"=".repeat(missing);
            put_bytes(out, f.number, &from_base64(&padded).ok_or_else(wrong)?);
        }
        14 => {
            let names = schema.enums.get(f.type_name.trim_start_matches('.'));
            let named = names.and_then(|n| {
                n.iter()
                    .find(|(name, _)| Some(name.as_str()) == value.as_str())
            });
            let n = match named {
                Some((_, n)) => i64::from(*n),
                None => value.as_i64().ok_or_else(wrong)?,
            };
            put_number(out, f.number, n as u64);
        }
        11 => {
            let inner = message(schema, &f.type_name, value, unknown, depth + 1)?;
            put_bytes(out, f.number, &inner);
        }
        _ => {
            return Err(format!(
                "field {} is of a kind that is not known here",
                f.name
            ));
        }
    }
    Ok(())
}

/// Messages with a JSON of their own: durations and wrapped values.
fn special(name: &str, value: &Value) -> Result<Option<Vec<u8>>, String> {
    let wrong = || format!("bad input for {name}: {value}");
    let mut out = Vec::new();
    match name {
        "google.protobuf.Duration" => {
            let seconds: f64 = value
                .as_str()
                .and_then(|t| t.strip_suffix('s'))
                .and_then(|t| t.parse().ok())
                .ok_or_else(wrong)?;
            put_number(&mut out, 1, seconds.trunc() as i64 as u64);
            put_number(&mut out, 2, ((seconds.fract() * 1e9).round() as i64) as u64);
        }
        "google.protobuf.Timestamp" => {
            let ms = value
                .as_str()
                .and_then(netshoot_model::time::parse)
                .ok_or_else(wrong)?;
            put_number(&mut out, 1, ms.div_euclid(1000) as u64);
            put_number(&mut out, 2, (ms.rem_euclid(1000) * 1_000_000) as u64);
        }
        "google.protobuf.StringValue" => {
            put_bytes(&mut out, 1, value.as_str().ok_or_else(wrong)?.as_bytes())
        }
        "google.protobuf.BoolValue" => {
            put_number(&mut out, 1, u64::from(value.as_bool().ok_or_else(wrong)?))
        }
        "google.protobuf.Int32Value"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.UInt64Value" => {
            let text = value
                .as_str()
                .map(String::from)
                .unwrap_or_else(|| value.to_string());
            put_number(
                &mut out,
                1,
                text.parse::<i64>().map_err(|_| wrong())? as u64,
            );
        }
        _ => return Ok(None),
    }
    Ok(Some(out))
}

/// Reads a message; fields that are not known are left out.
pub fn decode(schema: &Schema, name: &str, bytes: &[u8], defaults: bool) -> Result<Value, String> {
    shown(schema, name, bytes, defaults, 0)
}

fn shown(
    schema: &Schema,
    name: &str,
    bytes: &[u8],
    defaults: bool,
    depth: usize,
) -> Result<Value, String> {
    let name = name.trim_start_matches('.');
    if depth > DEEPEST {
        return Err("messages are nested too deep".into());
    }
    let fields = read_fields(bytes).map_err(|e| format!("message {name}: {e}"))?;
    let number = |n: u32| {
        fields
            .iter()
            .rev()
            .find(|f| f.0 == n)
            .map_or(0, |f| f.1.number() as i64)
    };
    match name {
        "google.protobuf.Timestamp" => {
            let ms = number(1)
                .saturating_mul(1000)
                .saturating_add(number(2) / 1_000_000);
            let text =
                netshoot_model::time::rfc3339(ms.clamp(-62_135_596_800_000, 253_402_300_799_000));
            return Ok(Value::String(text.replace(".000Z", "Z")));
        }
        "google.protobuf.Duration" => {
            let nanos = format!("{:09}", number(2).unsigned_abs());
            let nanos = nanos.trim_end_matches('0');
            let point = if nanos.is_empty() { "" } else { "." };
            return Ok(Value::String(format!("{}{point}{nanos}s", number(1))));
        }
        _ => {}
    }
    let kind = schema
        .messages
        .get(name)
        .ok_or_else(|| format!("message {name} is not known"))?;
    let wrapped =
        name.starts_with("google.protobuf.") && name.ends_with("Value") && kind.fields.len() == 1;
    let mut object = Map::new();
    for f in &kind.fields {
        let mine: Vec<Wire<'_>> = fields
            .iter()
            .filter(|x| x.0 == f.number)
            .map(|x| x.1)
            .collect();
        let entry = schema
            .messages
            .get(f.type_name.trim_start_matches('.'))
            .filter(|m| m.map_entry);
        let value = match (entry, f.repeated, mine.last()) {
            (Some(entry), ..) if !mine.is_empty() => {
                Some(map(schema, entry, &mine, defaults, depth)?)
            }
            (None, true, Some(_)) => Some(Value::Array(list(schema, f, &mine, defaults, depth)?)),
            (None, false, Some(last)) => Some(one(schema, f, *last, defaults, depth)?),
            _ if defaults || wrapped => empty(schema, f, entry.is_some()),
            _ => None,
        };
        if let Some(value) = value {
            object.insert(f.json.clone(), value);
        }
    }
    match wrapped {
        true => Ok(object.into_iter().next().map_or(Value::Null, |p| p.1)),
        false => Ok(Value::Object(object)),
    }
}

fn map(
    schema: &Schema,
    entry: &Message,
    pairs: &[Wire<'_>],
    defaults: bool,
    depth: usize,
) -> Result<Value, String> {
    let mut object = Map::new();
    for pair in pairs {
        let fields = read_fields(pair.bytes()).map_err(|e| e.to_string())?;
        let part = |n: u32| -> Result<Value, String> {
            let f = entry
                .fields
                .iter()
                .find(|f| f.number == n)
                .ok_or("a map without its parts")?;
            match fields.iter().rev().find(|x| x.0 == n) {
                Some(x) => one(schema, f, x.1, defaults, depth),
                None => Ok(empty(schema, f, false).unwrap_or(json!({}))),
            }
        };
        let key = match part(1)? {
            Value::String(s) => s,
            other => other.to_string(),
        };
        object.insert(key, part(2)?);
    }
    Ok(Value::Object(object))
}

fn list(
    schema: &Schema,
    f: &Field,
    mine: &[Wire<'_>],
    defaults: bool,
    depth: usize,
) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for value in mine {
        let packable = !matches!(f.kind, 9..=12);
        match value {
            // Packed: numbers behind each other.
            Wire::Bytes(bytes) if packable => {
                let mut rest = *bytes;
                while !rest.is_empty() {
                    let (value, behind) = match f.kind {
                        1 | 6 | 16 => {
                            let (n, behind) = rest
                                .split_first_chunk::<8>()
                                .ok_or("packed numbers are cut")?;
                            (Wire::Fixed64(u64::from_le_bytes(*n)), behind)
                        }
                        2 | 7 | 15 => {
                            let (n, behind) = rest
                                .split_first_chunk::<4>()
                                .ok_or("packed numbers are cut")?;
                            (Wire::Fixed32(u32::from_le_bytes(*n)), behind)
                        }
                        _ => {
                            let (n, behind) = read_varint(rest).map_err(|e| e.to_string())?;
                            (Wire::Varint(n), behind)
                        }
                    };
                    all.push(one(schema, f, value, defaults, depth)?);
                    rest = behind;
                }
            }
            value => all.push(one(schema, f, *value, defaults, depth)?),
        }
    }
    Ok(all)
}

fn float(n: f64) -> Value {
    let word = if n.is_nan() {
        "NaN"
    } else if n > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    Number::from_f64(n).map_or_else(|| Value::String(word.into()), Value::Number)
}

fn one(
    schema: &Schema,
    f: &Field,
    value: Wire<'_>,
    defaults: bool,
    depth: usize,
) -> Result<Value, String> {
    let n = value.number();
    Ok(match f.kind {
        1 => float(f64::from_bits(n)),
        2 => {
            let single = f32::from_bits(n as u32);
            // As few digits as say it.
            single.to_string().parse::<f64>().map_or(Value::Null, float)
        }
        3 | 16 => Value::String((n as i64).to_string()),
        4 | 6 => Value::String(n.to_string()),
        5 | 15 => json!(n as i32),
        7 | 13 => json!(n as u32),
        17 => json!(((n >> 1) as i64 ^ -((n & 1) as i64)) as i32),
        18 => Value::String(((n >> 1) as i64 ^ -((n & 1) as i64)).to_string()),
        8 => json!(n != 0),
        9 => Value::String(value.text()),
        12 => Value::String(base64(value.bytes())),
        14 => {
            let number = n as i32;
            let names = schema.enums.get(f.type_name.trim_start_matches('.'));
            let name = names.and_then(|all| all.iter().find(|(_, v)| *v == number));
            name.map_or(json!(number), |(name, _)| Value::String(name.clone()))
        }
        11 => shown(schema, &f.type_name, value.bytes(), defaults, depth + 1)?,
        _ => {
            return Err(format!(
                "field {} is of a kind that is not known here",
                f.name
            ));
        }
    })
}

/// What a field is that is not there; none for messages.
fn empty(schema: &Schema, f: &Field, map: bool) -> Option<Value> {
    Some(match f.kind {
        _ if map => json!({}),
        _ if f.repeated => json!([]),
        _ if f.oneof.is_some() => return None,
        3 | 4 | 6 | 16 | 18 => json!("0"),
        8 => json!(false),
        9 | 12 => json!(""),
        11 | 10 => return None,
        14 => {
            let all = schema.enums.get(f.type_name.trim_start_matches('.'))?;
            json!(all.first()?.0)
        }
        _ => json!(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let kinds = [
            (1u32, "d"),
            (2, "f"),
            (3, "i64"),
            (4, "u64"),
            (5, "i32"),
            (8, "b"),
            (9, "s"),
            (12, "bytes"),
            (13, "u32"),
            (17, "s32"),
            (18, "s64"),
            (7, "f32"),
            (16, "sf64"),
        ];
        let mut fields: Vec<Field> = kinds
            .iter()
            .enumerate()
            .map(|(i, (kind, name))| Field {
                name: name.to_string(),
                json: name.to_string(),
                number: i as u32 + 1,
                kind: *kind,
                ..Field::default()
            })
            .collect();
        let more = |name: &str, number, kind, type_name: &str, repeated| Field {
            name: name.into(),
            json: name.into(),
            number,
            kind,
            type_name: type_name.into(),
            repeated,
            ..Field::default()
        };
        fields.push(more("list", 20, 5, "", true));
        fields.push(more("e", 21, 14, ".E", false));
        fields.push(more("inner", 22, 11, ".M", false));
        fields.push(more("map", 23, 11, ".Entry", true));
        let entry = Message {
            fields: vec![more("key", 1, 9, "", false), more("value", 2, 5, "", false)],
            map_entry: true,
            ..Message::default()
        };
        let mut schema = Schema::default();
        schema.messages.insert(
            "M".into(),
            Message {
                fields,
                proto3: true,
                ..Message::default()
            },
        );
        schema.messages.insert("Entry".into(), entry);
        schema
            .enums
            .insert("E".into(), vec![("ZERO".into(), 0), ("ONE".into(), 1)]);
        schema
    }

    #[test]
    fn messages_both_ways() {
        let schema = schema();
        let value = json!({
            "d": 1.5, "f": 0.1, "i64": "-7", "u64": "18446744073709551615", "i32": -3, "b": true, "s": "é", "bytes": "AP8=",
            "u32": 4, "s32": -5, "s64": "-6", "f32": 9, "sf64": "-10", "list": [1, -2], "e": "ONE",
            "inner": {"s": "in", "inner": {}}, "map": {"a": 1, "b": 2},
        });
        let bytes = encode(&schema, "M", &value, false).unwrap();
        assert_eq!(decode(&schema, "M", &bytes, false).unwrap(), value);
        let long = json!({"bytes": base64(&[7; 100_000])});
        let bytes = encode(&schema, "M", &long, false).unwrap();
        assert_eq!(decode(&schema, "M", &bytes, false).unwrap(), long);
        let with = decode(&schema, "M", &[], true).unwrap();
        assert_eq!(
            (&with["i64"], &with["e"], &with["list"]),
            (&json!("0"), &json!("ZERO"), &json!([]))
        );
        for wrong in [
            json!({"none": 1}),
            json!({"i32": "x"}),
            json!({"list": 1}),
            json!([]),
            json!({"e": "TWO"}),
        ] {
            assert!(encode(&schema, "M", &wrong, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn damaged_messages_are_refused_or_read() {
        let schema = schema();
        let value = json!({"d": 1.5, "list": [1, 2], "inner": {"s": "x"}, "map": {"a": 1}, "bytes": "AP8="});
        let valid = encode(&schema, "M", &value, false).unwrap();
        netshoot_wire::fuzz::mutations(&valid, 10_000, |bytes| {
            if let Ok(value) = decode(&schema, "M", bytes, false) {
                let _ = encode(&schema, "M", &value, false);
            }
        });
    }
}
