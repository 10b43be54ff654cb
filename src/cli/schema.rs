//! JSON schema of the model: what `keepwatch check --dump=json` prints.
//!
//! The schema is asked of the types themselves: a [`Deserializer`](serde::Deserializer) that has no data gives every type what
//! it wants and writes down what that was. An enum is asked once for each of its variants.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde_json::{Map, Value, json};

use crate::conf::model::Config;

/// The whole document.
pub fn schema() -> Value {
    let mut seen = Seen::default();
    // One more variant of each enum at a time, until all have been seen.
    let root = loop {
        let mut root = Value::Null;
        if let Err(error) = Config::deserialize(Asked { seen: &mut seen, found: &mut root }) {
            unreachable!("every type of the model takes what it asked for: {error}");
        }
        if seen.enums.values().all(|known| known.variants.len() == known.names.len()) {
            break root;
        }
    };
    let mut definitions = seen.structs;
    for (name, known) in seen.enums {
        definitions.insert(name.to_owned(), known.schema());
    }
    // keepwatch.yaml is no part of the document.
    if let Some(config) = definitions.get_mut("Config") {
        if let Some(properties) = config.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("settings");
        }
        if let Some(required) = config.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != "settings");
        }
    }
    let used = reachable(&definitions, &root);
    definitions.retain(|name, _| used.contains(name));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of keepwatchd",
        "description": "What `keepwatch check --dump=json` prints: the effective configuration. Times are in the unit that the \
                        name ends with, or seconds and nanoseconds. Secrets are eight asterisks unless --secrets is given.",
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

fn reachable(definitions: &Map<String, Value>, from: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut open = vec![from];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix("#/$defs/"))
                    && !names.iter().any(|known| known == name)
                {
                    names.push(name.to_owned());
                    open.extend(definitions.get(name));
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    names
}

#[derive(Default)]
struct Seen {
    structs: Map<String, Value>,
    enums: BTreeMap<&'static str, Variants>,
}

impl Seen {
    /// Asks a structure for its fields; their schemas are those that were asked for until then.
    fn fields<'de, V: Visitor<'de>>(
        &mut self,
        names: &'static [&'static str],
        visitor: V,
    ) -> (Result<V::Value, Refused>, Map<String, Value>) {
        let mut done = Map::new();
        let fields = Fields { seen: self, names: names.iter(), next: None, properties: Map::new(), done: &mut done };
        let result = visitor.visit_map(fields);
        (result, done)
    }
}

#[derive(Default)]
struct Variants {
    names: &'static [&'static str],
    /// How often.
    asked: usize,
    /// Of those that have been asked.
    variants: BTreeMap<&'static str, Value>,
}

impl Variants {
    fn schema(&self) -> Value {
        let units: Vec<&str> =
            self.names.iter().copied().filter(|name| self.variants.get(name).is_none_or(Value::is_null)).collect();
        let mut any: Vec<Value> = if units.is_empty() { vec![] } else { vec![json!({ "enum": units })] };
        for (name, inner) in self.variants.iter().filter(|(_, inner)| !inner.is_null()) {
            // Passwords are hidden.
            let inner = match *name {
                "Pass" | "Ah" => json!({ "anyOf": [inner, { "type": "string" }] }),
                _ => inner.clone(),
            };
            any.push(json!({
                "type": "object",
                "properties": { *name: inner },
                "required": [name],
                "additionalProperties": false,
            }));
        }
        match any.len() {
            1 => any.remove(0),
            _ => json!({ "anyOf": any }),
        }
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// One value that a type is asked for.
struct Asked<'s> {
    seen: &'s mut Seen,
    found: &'s mut Value,
}

#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Refused(message.to_string())
    }
}

/// Texts that types want which check them.
fn example(expected: &dyn Expected) -> (&'static str, Option<&'static str>) {
    let wanted = expected.to_string();
    match wanted.as_str() {
        "IPv4 address" => ("192.0.2.1", Some("ipv4")),
        "IPv6 address" => ("2001:db8::1", Some("ipv6")),
        "IP address" => ("192.0.2.1", None),
        "socket address" => ("192.0.2.1:25", None),
        _ => ("text", None),
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $minimum:expr, $maximum:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            *self.found = json!({ "type": "integer", "minimum": $minimum, "maximum": $maximum });
            let one: $type = 1;
            visitor.$visit(one)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Asked<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        Err(Refused(format!("nobody knows what {} is", &visitor as &dyn Expected)))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "boolean" });
        visitor.visit_bool(true)
    }

    numbers! {
        deserialize_u8 visit_u8 u8, u8::MIN, u8::MAX;
        deserialize_u16 visit_u16 u16, u16::MIN, u16::MAX;
        deserialize_u32 visit_u32 u32, u32::MIN, u32::MAX;
        deserialize_u64 visit_u64 u64, u64::MIN, u64::MAX;
        deserialize_i8 visit_i8 i8, i8::MIN, i8::MAX;
        deserialize_i16 visit_i16 i16, i16::MIN, i16::MAX;
        deserialize_i32 visit_i32 i32, i32::MIN, i32::MAX;
        deserialize_i64 visit_i64 i64, i64::MIN, i64::MAX;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "number" });
        visitor.visit_f64(1.0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "string" });
        visitor.visit_char('x')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (text, format) = example(&visitor);
        *self.found = match format {
            Some(format) => json!({ "type": "string", "format": format }),
            None => json!({ "type": "string" }),
        };
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } });
        visitor.visit_bytes(&[1])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let mut inner = Value::Null;
        let result = visitor.visit_some(Asked { seen: self.seen, found: &mut inner });
        *self.found = json!({ "anyOf": [inner, { "type": "null" }] });
        result
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "null" });
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let mut items = Vec::new();
        let result = visitor.visit_seq(Items { seen: self.seen, left: 1, items: &mut items });
        *self.found = json!({ "type": "array", "items": items.pop().unwrap_or(Value::Bool(true)) });
        result
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        let mut items = Vec::new();
        let result = visitor.visit_seq(Items { seen: self.seen, left: length, items: &mut items });
        *self.found = tuple(&items);
        result
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        *self.found = json!({ "type": "object" });
        visitor.visit_map(Fields {
            seen: self.seen,
            names: [].iter(),
            next: None,
            properties: Map::new(),
            done: &mut Map::new(),
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        *self.found = reference(name);
        let (result, done) = self.seen.fields(fields, visitor);
        self.seen.structs.insert(name.to_owned(), object(done, fields));
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        *self.found = reference(name);
        let known = self.seen.enums.entry(name).or_default();
        known.names = variants;
        // When all are known they take turns, because another enum may stand inside any of them.
        let missing = variants.iter().copied().find(|variant| !known.variants.contains_key(variant));
        let turn = variants.iter().copied().cycle().nth(known.asked % variants.len().max(1));
        known.asked += 1;
        let variant = missing.or(turn).unwrap_or_default();
        let mut inner = Value::Null;
        let result = visitor.visit_enum(Variant { seen: self.seen, variant, inner: &mut inner });
        if let Some(known) = self.seen.enums.get_mut(name) {
            known.variants.insert(variant, inner);
        }
        result
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }
}

/// As many of one kind, or of one kind each.
fn tuple(items: &[Value]) -> Value {
    let length = items.len();
    match items.first() {
        Some(first) if items.iter().all(|item| item == first) => {
            json!({ "type": "array", "items": first, "minItems": length, "maxItems": length })
        }
        _ => json!({ "type": "array", "prefixItems": items, "minItems": length, "maxItems": length }),
    }
}

fn object(properties: Map<String, Value>, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

struct Items<'s> {
    seen: &'s mut Seen,
    left: usize,
    items: &'s mut Vec<Value>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut item = Value::Null;
        let value = seed.deserialize(Asked { seen: self.seen, found: &mut item })?;
        self.items.push(item);
        Ok(Some(value))
    }
}

struct Fields<'s> {
    seen: &'s mut Seen,
    names: std::slice::Iter<'s, &'static str>,
    next: Option<&'static str>,
    properties: Map<String, Value>,
    done: &'s mut Map<String, Value>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let Some(name) = self.names.next() else {
            *self.done = std::mem::take(&mut self.properties);
            return Ok(None);
        };
        self.next = Some(name);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        let mut value = Value::Null;
        let result = seed.deserialize(Asked { seen: self.seen, found: &mut value })?;
        if let Some(name) = self.next.take() {
            self.properties.insert(name.to_owned(), value);
        }
        Ok(result)
    }
}

struct Variant<'s> {
    seen: &'s mut Seen,
    variant: &'static str,
    inner: &'s mut Value,
}

impl<'de, 's> EnumAccess<'de> for Variant<'s> {
    type Error = Refused;
    type Variant = Variant<'s>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Variant<'s>), Refused> {
        Ok((seed.deserialize(self.variant.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(Asked { seen: self.seen, found: self.inner })
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        let mut items = Vec::new();
        let result = visitor.visit_seq(Items { seen: self.seen, left: length, items: &mut items });
        *self.inner = tuple(&items);
        result
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        let (result, done) = self.seen.fields(fields, visitor);
        *self.inner = object(done, fields);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_beside_the_documentation_is_that_of_the_model() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
        let wanted = format!("{:#}\n", schema());
        if std::env::var_os("KEEPWATCH_RENEW").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/config.schema.json is stale: KEEPWATCH_RENEW=1 cargo test -p keepwatch --lib cli::schema renews it"
        );
    }

    #[test]
    fn every_variant_and_field_of_the_model_is_described() {
        let schema = schema();
        let definitions = schema["$defs"].as_object().unwrap();
        for name in ["Config", "Instance", "VirtualServer", "Route", "Check", "Forwarding", "TrackProcess"] {
            assert!(definitions.contains_key(name), "{name} is not among {:?}", definitions.keys().collect::<Vec<_>>());
        }
        assert!(schema["$defs"]["Config"]["properties"].get("settings").is_none());
        assert_eq!(schema["$defs"]["Check"]["anyOf"].as_array().map(Vec::len), Some(9));
        assert_eq!(schema["$defs"]["Protocol"], json!({ "enum": ["Tcp", "Udp", "Sctp"] }));
    }
}
