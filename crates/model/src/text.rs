//! A sentence in the languages of the reports. Whoever states something states it in both; a
//! renderer picks one and never translates.

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The languages of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// One of two texts.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

/// One statement in English and Chinese. Printed with `{}` it is English, with `{:#}` Chinese, so
/// that one text can stand inside another: `text!("behind {way}", "位于{way:#}之后")`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    en: String,
    zh: String,
}

/// A [`Text`] from two format strings over the same arguments. Each argument is evaluated twice.
#[macro_export]
macro_rules! text {
    ($en:literal, $zh:literal $(, $($arg:tt)*)?) => {
        $crate::text::Text::new(format!($en $(, $($arg)*)?), format!($zh $(, $($arg)*)?))
    };
}

impl Text {
    /// Both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Text {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// What is the same in every language: a name, a value, a message of somebody else's program.
    pub fn same(words: impl Into<String>) -> Self {
        let en = words.into();
        Text { zh: en.clone(), en }
    }

    /// In one language.
    pub fn in_lang(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }

    /// Only this language from now on: what a report of one language holds.
    pub fn settle(&self, lang: Lang) -> Text {
        Text::same(self.in_lang(lang))
    }

    /// The words of a text that was settled; of one in two languages the English ones.
    pub fn as_str(&self) -> &str {
        &self.en
    }

    /// These are its words in one of the languages.
    pub fn says(&self, words: &str) -> bool {
        self.en == words || self.zh == words
    }

    /// No words.
    pub fn is_empty(&self) -> bool {
        self.en.is_empty()
    }

    /// Texts one after the other, with commas as each language sets them.
    pub fn list<'a>(items: impl IntoIterator<Item = &'a Text>) -> Text {
        Text::join(items, ", ", "、")
    }

    /// The same with semicolons.
    pub fn row<'a>(items: impl IntoIterator<Item = &'a Text>) -> Text {
        Text::join(items, "; ", "；")
    }

    /// Names or values one after the other, with commas as each language sets them.
    pub fn names<T: fmt::Display>(items: &[T]) -> Text {
        let each: Vec<Text> = items.iter().map(|i| Text::same(i.to_string())).collect();
        Text::list(&each)
    }

    fn join<'a>(items: impl IntoIterator<Item = &'a Text>, en: &str, zh: &str) -> Text {
        let all: Vec<&Text> = items.into_iter().collect();
        let words = |lang: Lang| all.iter().map(|t| t.in_lang(lang)).collect::<Vec<_>>();
        Text::new(words(Lang::En).join(en), words(Lang::Zh).join(zh))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { &self.zh } else { &self.en })
    }
}

/// A plain string where both languages say the same, else `{"en": .., "zh": ..}`.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.en == self.zh {
            return s.serialize_str(&self.en);
        }
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("en", &self.en)?;
        map.serialize_entry("zh", &self.zh)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or one with the keys en and zh")
            }

            fn visit_str<E: Error>(self, s: &str) -> Result<Text, E> {
                Ok(Text::same(s))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let (mut en, mut zh) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "en" => en = Some(map.next_value::<String>()?),
                        "zh" => zh = Some(map.next_value::<String>()?),
                        other => return Err(A::Error::unknown_field(other, &["en", "zh"])),
                    }
                }
                match (en, zh) {
                    (Some(en), Some(zh)) => Ok(Text { en, zh }),
                    (None, _) => Err(A::Error::missing_field("en")),
                    (_, None) => Err(A::Error::missing_field("zh")),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_inside_another() {
        let port = 80;
        let inner = text!("port {port}", "端口 {port}");
        let outer = text!("{inner} of {} pods", "{} 个 Pod 的{inner:#}", 3);
        assert_eq!(outer.in_lang(Lang::En), "port 80 of 3 pods");
        assert_eq!(outer.in_lang(Lang::Zh), "3 个 Pod 的端口 80");
    }

    #[test]
    fn a_text_is_the_same_after_writing_and_reading() {
        for t in [
            Text::same("eth0"),
            Text::new("down", "断开"),
            Text::default(),
        ] {
            let json = serde_json::to_string(&t).expect("text is JSON");
            assert_eq!(serde_json::from_str::<Text>(&json).expect(&json), t);
        }
        for bad in [
            "7",
            "{\"en\": \"x\"}",
            "{\"en\": \"x\", \"zh\": \"y\", \"fr\": \"z\"}",
        ] {
            assert!(serde_json::from_str::<Text>(bad).is_err(), "{bad}");
        }
    }
}
