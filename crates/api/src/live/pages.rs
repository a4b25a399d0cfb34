//! Reading objects: one, or a list in pages. An item is thinned as soon as it is parsed, so that
//! memory grows with what is kept and not with what the server has.

use super::Cluster;
use super::error::Error;
use super::request::{Call, query};
use super::resource::Resource;
use netshoot_model::object::Object;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Objects of one page; the size that `kubectl` uses.
const PAGE: &str = "500";
/// More pages than this are no list.
const MOST_PAGES: usize = 2000;

/// Which objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Label selector, `app=web,tier!=db`; empty for all.
    pub labels: String,
    /// Field selector, `spec.nodeName=a`; empty for all.
    pub fields: String,
}

impl Selection {
    /// By labels.
    pub fn labels(selector: &str) -> Selection {
        Selection {
            labels: selector.into(),
            ..Selection::default()
        }
    }

    /// By fields.
    pub fn fields(selector: &str) -> Selection {
        Selection {
            fields: selector.into(),
            ..Selection::default()
        }
    }
}

/// A list as it was at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub items: Vec<Object>,
    pub resource_version: String,
}

impl Cluster {
    /// One object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Object, Error> {
        self.get_sub(resource, namespace, name, "")
    }

    /// One subresource of an object.
    pub fn get_sub(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> Result<Object, Error> {
        let tried = resource.tried("get", namespace, name, subresource);
        let path = resource.path(namespace, name, subresource);
        self.json(&Call::get(tried, path)).map(Object)
    }

    /// All objects of a kind in a namespace (empty: in all), in pages.
    pub fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        which: &Selection,
    ) -> Result<Vec<Object>, Error> {
        self.list_thin(resource, namespace, which, &|_| {})
    }

    /// The same; each object passes through `thin` as soon as it is parsed.
    pub fn list_thin(
        &self,
        resource: &Resource,
        namespace: &str,
        which: &Selection,
        thin: &dyn Fn(&mut Value),
    ) -> Result<Vec<Object>, Error> {
        Ok(self.listed(resource, namespace, which, thin)?.items)
    }

    pub(super) fn listed(
        &self,
        resource: &Resource,
        namespace: &str,
        which: &Selection,
        thin: &dyn Fn(&mut Value),
    ) -> Result<Listed, Error> {
        let tried = resource.tried("list", namespace, "", "");
        let mut all = Listed::default();
        let (mut go_on, mut limit) = (String::new(), PAGE);
        for _ in 0..MOST_PAGES {
            let pairs = [
                ("labelSelector", which.labels.as_str()),
                ("fieldSelector", &which.fields),
                ("limit", limit),
                ("continue", &go_on),
            ];
            let path = resource.path(namespace, "", "") + &query(&pairs);
            match self.bytes(&Call::get(tried.clone(), path)) {
                Ok(bytes) => {
                    let page = page(&bytes, resource, thin).map_err(|e| Error::Nonsense {
                        tried: Box::new(tried.clone()),
                        why: e.to_string(),
                    })?;
                    all.items.extend(page.items);
                    all.resource_version = page.resource_version;
                    if page.go_on.is_empty() {
                        return Ok(all);
                    }
                    go_on = page.go_on;
                }
                // The list of the first page is forgotten by now: the whole in one piece.
                Err(Error::Expired { .. }) if !go_on.is_empty() => {
                    all = Listed::default();
                    go_on.clear();
                    limit = "";
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::Nonsense {
            tried: Box::new(tried),
            why: format!("more than {MOST_PAGES} pages"),
        })
    }
}

struct Page {
    items: Vec<Object>,
    resource_version: String,
    go_on: String,
}

/// Reads a `PodList` without ever holding more than one whole item.
fn page(
    bytes: &[u8],
    resource: &Resource,
    thin: &dyn Fn(&mut Value),
) -> Result<Page, serde_json::Error> {
    let mut read = serde_json::Deserializer::from_slice(bytes);
    let seed = PageSeed { resource, thin };
    let page = seed.deserialize(&mut read)?;
    read.end()?;
    Ok(page)
}

struct PageSeed<'a> {
    resource: &'a Resource,
    thin: &'a dyn Fn(&mut Value),
}

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Page, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page {
            items: Vec::new(),
            resource_version: String::new(),
            go_on: String::new(),
        };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "items" => {
                    page.items = map.next_value_seed(ItemsSeed(&self))?;
                }
                "metadata" => {
                    let meta: Value = map.next_value()?;
                    let text = |k: &str| meta.get(k).and_then(Value::as_str).unwrap_or("").into();
                    page.go_on = text("continue");
                    page.resource_version = text("resourceVersion");
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(page)
    }
}

struct ItemsSeed<'a, 'b>(&'a PageSeed<'b>);

impl<'de> DeserializeSeed<'de> for ItemsSeed<'_, '_> {
    type Value = Vec<Object>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Vec<Object>, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed<'_, '_> {
    type Value = Vec<Object>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects")
    }

    fn visit_unit<E>(self) -> Result<Vec<Object>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Object>, A::Error> {
        let mut out = Vec::new();
        while let Some(mut item) = seq.next_element::<Value>()? {
            // Items of a typed list do not say what they are.
            if let Some(map) = item.as_object_mut() {
                let r = self.0.resource;
                map.entry("kind").or_insert_with(|| r.kind.clone().into());
                map.entry("apiVersion")
                    .or_insert_with(|| r.api_version().into());
            }
            (self.0.thin)(&mut item);
            out.push(Object(item));
        }
        out.shrink_to_fit();
        Ok(out)
    }
}
