//! A report without secrets: it ends up in logs, and in files of CI.

use super::{DriveOptions, Target};
use crate::outward::OutwardConfig;
use crate::recording::TextMask;
use crate::recording::redact::is_secret_name;
use crate::recording::scrub::patterns_of;
use crate::replay::compare::{Report, Row, RowDifference};
use crate::replay::mask::masked_at;

/// Finds what a recording would not have, and every secret that somebody supplied.
pub(super) fn mask(target: &Target, options: &DriveOptions) -> TextMask {
    let of_headers = match target {
        Target::Http(config) => header_secrets(config),
        Target::Command(_) => Vec::new(),
    };
    let supplied = options.secrets.values().map(String::as_bytes);
    let patterns = patterns_of(supplied.chain(of_headers), &options.redact);
    TextMask::random_or_stars().with_patterns(patterns)
}

/// The values of headers that are secrets; of credentials what stands behind their scheme.
fn header_secrets(config: &OutwardConfig) -> Vec<&[u8]> {
    let secret = config
        .headers
        .iter()
        .filter(|(name, _)| is_secret_name(name.as_str()));
    secret
        .map(|(_, value)| {
            let value = value.as_bytes();
            let blank = memchr::memrchr(b' ', value).map_or(0, |blank| blank + 1);
            &value[blank..]
        })
        .collect()
}

/// The report with tags in the place of secrets. Two secrets that differ have tags that differ.
pub(super) fn masked(mask: &TextMask, report: Report) -> Report {
    let texts = |texts: Vec<String>| texts.iter().map(|text| mask.masked(text)).collect();
    Report {
        rows: report.rows.into_iter().map(|row| masked_row(mask, row)).collect(),
        remarks: texts(report.remarks),
        failures: texts(report.failures),
    }
}

fn masked_row(mask: &TextMask, row: Row) -> Row {
    let difference = |found: RowDifference| {
        let value = |value: &String| masked_at(mask, &[], &found.path, value);
        RowDifference {
            before: found.before.as_ref().map(value),
            after: found.after.as_ref().map(value),
            path: mask.masked_name(&found.path),
            kind: found.kind,
        }
    };
    Row {
        about: mask.masked(&row.about),
        differences: row.differences.into_iter().map(difference).collect(),
        remarks: row.remarks.iter().map(|text| mask.masked(text)).collect(),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outward::StaticHeader;
    use crate::replay::compare::Outcome;

    fn found(path: &str, before: Option<&str>, after: Option<&str>) -> RowDifference {
        RowDifference {
            path: path.to_owned(),
            kind: "changed",
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn a_report_has_no_secret_and_tells_two_of_them_apart() {
        let server = "http://127.0.0.1:1/mcp".parse().unwrap();
        let mut config = OutwardConfig::new(server);
        config.add(StaticHeader::new("authorization", "Bearer s3cr3t-1").unwrap());
        config.add(StaticHeader::new("x-stage", "production").unwrap());
        let options = DriveOptions {
            secrets: [("0a".to_owned(), "s3cr3t \"2\"".to_owned())].into(),
            redact: ["acme-[0-9]+".parse().unwrap()].into_iter().collect(),
            ..DriveOptions::default()
        };
        let mut row = Row::new("F1", "tools/call", "https://h/?token=s3cr3t-3", Outcome::Changed);
        row.differences = vec![
            found("$.result.password", Some("\"s3cr3t-4\""), Some("\"s3cr3t-5\"")),
            found(
                "$.result.structuredContent",
                None,
                Some(r#"{"token":"s3cr3t-6","ok":1}"#),
            ),
            found(
                "$.result.content[0].text",
                None,
                Some(r#""s3cr3t \"2\" production""#),
            ),
            found("$.result.token", Some("\"\u{2039}secret\u{203a}\""), None),
        ];
        let report = Report {
            rows: vec![row.noting("it answered 404: s3cr3t-1 acme-4711")],
            remarks: vec!["password=s3cr3t-7".to_owned()],
            failures: vec![r#"F1: it answered 404: {"token":"s3cr3t-8"}"#.to_owned()],
        };
        let mask = mask(&Target::Http(Box::new(config)), &options);
        let report = masked(&mask, report);
        let text = format!("{report:?}");
        assert!(!text.contains("s3cr3t") && !text.contains("acme-"), "{text}");
        assert!(text.contains("production") && text.contains("404"), "{text}");
        let told = &report.rows[0].differences;
        assert!(told[0].before != told[0].after, "{told:?}");
        assert_eq!(told[3].before.as_deref(), Some("\"\u{2039}secret\u{203a}\""));
    }
}
