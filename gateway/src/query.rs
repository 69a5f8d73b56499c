//! The query of a gateway URL; of several values the first one counts.

#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(
            pairs
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value, empty ones included.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The first value if it says something.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.value(key).filter(|value| !value.is_empty())
    }

    /// The query with parameters set (where it hasn't got them, or `format` in any case), sorted and escaped.
    pub(crate) fn with(&self, format: &str, more: &[(String, String)]) -> String {
        let mut pairs = self.0.clone();
        pairs.retain(|(key, _)| key != "format");
        pairs.push(("format".to_owned(), format.to_owned()));
        for (key, value) in more {
            if self.value(key).is_none() {
                pairs.push((key.clone(), value.clone()));
            }
        }
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }
}
