//! rpc-v2-cbor bodies. Timestamps are tag 1 (Smithy RPC v2 CBOR, "Timestamp shape serialization").
use ciborium::Value;
use jiff::Timestamp;

use crate::Doc;

pub(crate) fn read(body: &[u8]) -> Result<Doc, String> {
    if body.is_empty() {
        return Ok(Doc::empty());
    }
    let value: Value = ciborium::from_reader(body).map_err(|e| e.to_string())?;
    from(value)
}

fn from(value: Value) -> Result<Doc, String> {
    Ok(match value {
        Value::Null => Doc::Null,
        Value::Bool(b) => Doc::Bool(b),
        Value::Integer(i) => Doc::Int(i64::try_from(i128::from(i)).map_err(|_| "integer too large".to_owned())?),
        Value::Float(f) => Doc::Float(f),
        Value::Text(s) => Doc::Str(s),
        Value::Bytes(b) => Doc::Blob(b),
        Value::Array(items) => Doc::List(items.into_iter().map(from).collect::<Result<_, _>>()?),
        Value::Map(entries) => {
            let read = entries.into_iter().map(|(k, v)| match k {
                Value::Text(k) => Ok((k, from(v)?)),
                _ => Err("a map key that is not a string".to_owned()),
            });
            Doc::Map(read.collect::<Result<_, _>>()?)
        }
        Value::Tag(1, seconds) => Doc::Time(timestamp(&seconds).ok_or_else(|| "bad timestamp".to_owned())?),
        _ => return Err("unexpected CBOR item".to_owned()),
    })
}

fn timestamp(seconds: &Value) -> Option<Timestamp> {
    match seconds {
        Value::Integer(i) => Timestamp::from_second(i64::try_from(i128::from(*i)).ok()?).ok(),
        Value::Float(f) => Timestamp::from_millisecond((f * 1000.0).round() as i64).ok(),
        _ => None,
    }
}

pub(crate) fn write(doc: &Doc) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(&to(doc), &mut out).expect("writing to a Vec does not fail");
    out
}

fn to(doc: &Doc) -> Value {
    match doc {
        Doc::Null => Value::Null,
        Doc::Bool(b) => Value::Bool(*b),
        Doc::Int(i) => Value::Integer((*i).into()),
        Doc::Float(f) => Value::Float(*f),
        Doc::Str(s) => Value::Text(s.clone()),
        Doc::Blob(b) => Value::Bytes(b.clone()),
        Doc::Time(t) => Value::Tag(1, Box::new(Value::Float(t.as_millisecond() as f64 / 1000.0))),
        Doc::List(items) => Value::Array(items.iter().map(to).collect()),
        Doc::Map(fields) => Value::Map(
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (Value::Text(k.clone()), to(v))).collect(),
        ),
    }
}
