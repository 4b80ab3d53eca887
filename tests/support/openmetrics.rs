//! A strict reader of `OpenMetrics` text: what it does not understand is an error.

use std::collections::{BTreeMap, HashMap, HashSet};

/// All samples of a page, by family.
pub struct Metrics {
    types: HashMap<String, String>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Metrics {
    /// Reads a page.
    ///
    /// Source: `OpenMetrics` 1.0, "Text Format". Families must not be interleaved, each has HELP and TYPE first, a unit is the end of
    /// its name, no sample is there twice, buckets rise and end in `+Inf`, which is the count.
    pub fn parse(page: &str) -> Self {
        let (body, rest) = cut(page, "# EOF\n");
        assert_eq!(rest, "", "something after the end");
        let mut metrics = Self {
            types: HashMap::new(),
            samples: BTreeMap::new(),
        };
        let (mut family, mut helped) = (String::new(), HashSet::new());
        for line in body.lines() {
            if let Some(told) = line.strip_prefix("# ") {
                let (word, told) = cut(told, " ");
                let (name, value) = cut(told, " ");
                match word {
                    "HELP" => assert!(helped.insert(name.to_owned()), "twice: {line}"),
                    "TYPE" => {
                        assert!(helped.contains(name), "no help: {line}");
                        let before = metrics.types.insert(name.to_owned(), value.to_owned());
                        assert_eq!(before, None, "twice: {line}");
                        name.clone_into(&mut family);
                    }
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")) && name == family, "{line}"),
                    _ => panic!("what is this? {line}"),
                }
            } else {
                metrics.sample(line, &family);
            }
        }
        metrics.check_histograms();
        metrics
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (named, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = match named.split_once('{') {
            Some((name, labels)) => (name, cut(labels, "}").0),
            None => (named, ""),
        };
        let suffix = name.strip_prefix(family);
        let suffix = suffix.unwrap_or_else(|| panic!("{line} is not of {family}"));
        let allowed: &[&str] = match self.types[family].as_str() {
            "gauge" => &[""],
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value >= 0.0, "{line}");
        let before = self.samples.insert((name.to_owned(), labels_of(labels)), value);
        assert_eq!(before, None, "twice: {line}");
    }

    fn check_histograms(&self) {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut series: HashMap<Vec<_>, Vec<(f64, f64)>> = HashMap::new();
            for ((name, labels), value) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let (end, others): (Vec<_>, Vec<_>) =
                        labels.iter().cloned().partition(|(key, _)| key == "le");
                    let end: f64 = end[0].1.parse().unwrap();
                    series.entry(others).or_default().push((end, *value));
                }
            }
            for (labels, mut buckets) in series {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(
                    buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                    "{family} {buckets:?}"
                );
                let (last, all) = *buckets.last().unwrap();
                let count = self.samples[&(format!("{family}_count"), labels)];
                assert!(
                    last.is_infinite() && all.total_cmp(&count).is_eq(),
                    "{family} {buckets:?} {count}"
                );
            }
        }
    }

    /// The sample with this name and these labels (`a=b,c=d`). Whole numbers only.
    pub fn get(&self, name: &str, labels: &str) -> u64 {
        let value = self.value(name, labels);
        assert!(value.fract() == 0.0, "{name} is {value}");
        format!("{value}").parse().unwrap()
    }

    /// The same for any number.
    pub fn value(&self, name: &str, labels: &str) -> f64 {
        let wanted = labels.split(',').filter(|label| !label.is_empty());
        let wanted = wanted.map(|label| label.split_once('=').unwrap());
        let mut wanted: Vec<_> = wanted
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        wanted.sort();
        let found = self.samples.get(&(name.to_owned(), wanted));
        *found.unwrap_or_else(|| panic!("no {name}{{{labels}}} among {:#?}", self.samples.keys()))
    }

    /// The values that a label has, in any sample.
    pub fn values_of(&self, label: &str) -> HashSet<&str> {
        let labels = self.samples.keys().flat_map(|(_, labels)| labels);
        labels
            .filter(|(key, _)| key == label)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The names of all samples.
    pub fn names(&self) -> HashSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }
}

/// `a="b",c="d"`, sorted. Escapes do not occur in label values of ours, and are an error.
fn labels_of(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (key, rest) = cut(text, "=\"");
        let (value, rest) = cut(rest, "\"");
        assert!(!value.contains('\\'), "{text}");
        assert!(
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{text}"
        );
        labels.push((key.to_owned(), value.to_owned()));
        text = rest.strip_prefix(',').unwrap_or(rest);
        assert!(rest.is_empty() || !text.is_empty(), "a comma too many");
    }
    labels.sort();
    let before = labels.len();
    labels.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(labels.len(), before, "a label twice");
    labels
}

#[track_caller]
fn cut<'a>(text: &'a str, at: &str) -> (&'a str, &'a str) {
    let parts = text.split_once(at);
    parts.unwrap_or_else(|| panic!("no {at:?} in {text:?}"))
}
