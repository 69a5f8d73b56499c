//! The query of a gateway URL. If a key occurs several times, the first value counts.

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

    /// Returns the first value, even if it is empty.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first value, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.value(key).filter(|value| !value.is_empty())
    }

    /// Returns the query, sorted and escaped, with `format` replaced and missing parameters added.
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
