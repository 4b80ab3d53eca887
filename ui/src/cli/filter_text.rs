//! A filter given on the command line, refused with a mark under the mistake.

use std::fmt;
use std::str::FromStr;

use shadowcat::intercept::filter::{Filter, FilterError};

use crate::text::Safe;

/// The text of a filter that can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FilterText(pub(crate) String);

impl FromStr for FilterText {
    type Err = FilterTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).map(|(text, _)| text)
    }
}

impl FilterText {
    /// The text and what it means.
    ///
    /// # Errors
    /// [`FilterTextError`] with a mark under the mistake.
    pub(super) fn read(text: &str) -> Result<(Self, Filter), FilterTextError> {
        match Filter::parse(text) {
            Ok(filter) => Ok((Self(text.to_owned()), filter)),
            Err(error) => Err(FilterTextError {
                text: text.to_owned(),
                error,
            }),
        }
    }
}

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterTextError {
    text: String,
    error: FilterError,
}

impl fmt::Display for FilterTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |from: usize, length: usize| -> Safe {
            let characters = self.text.chars().skip(from).take(length);
            Safe::of(&characters.collect::<String>())
        };
        let indent = part(0, self.error.column).width();
        let marks = part(self.error.column, self.error.length).width().max(1);
        let text = Safe::of(&self.text);
        writeln!(f, "{}\n", self.error.message)?;
        writeln!(f, "  {}", text.as_str())?;
        write!(f, "  {:indent$}{}", "", "^".repeat(marks))
    }
}

impl std::error::Error for FilterTextError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_mistake() {
        let shown = "tool:漢 metohd:x".parse::<FilterText>().unwrap_err().to_string();
        let mut lines = shown.lines().skip_while(|line| !line.starts_with("  "));
        assert_eq!(lines.next(), Some("  tool:漢 metohd:x"));
        assert_eq!(lines.next(), Some("          ^^^^^^"));
        assert!(shown.contains("method"), "{shown}");
    }

    #[test]
    fn a_good_filter_is_kept_as_it_was_typed() {
        assert_eq!("  kind:error ".parse::<FilterText>().unwrap().0, "  kind:error ");
    }
}
