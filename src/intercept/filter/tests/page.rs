//! `docs/filters.md` and the table of fields say the same.

use super::parse;
use crate::intercept::filter::Field;

/// The page for people, as it must be.
const PAGE: &str = include_str!("../../../../docs/filters.md");

#[test]
fn the_page_has_the_table_of_fields() {
    let rows = Field::ALL.iter().map(|field| {
        format!(
            "| `{}` | {} | `{}` |\n",
            field.name(),
            field.description(),
            field.example()
        )
    });
    let table: String = rows.collect();
    assert!(
        PAGE.contains(&format!("|---|---|---|\n{table}\n")),
        "put this into docs/filters.md:\n{table}"
    );
}

#[test]
fn the_page_has_the_table_of_values() {
    let rows = Field::ALL.iter().flat_map(|field| {
        field
            .values()
            .map(|(value, help)| format!("| `{}` | `{value}` | {help} |\n", field.name()))
    });
    let table: String = rows.collect();
    assert!(
        PAGE.contains(&format!("|---|---|---|\n{table}\n")),
        "put this into docs/filters.md:\n{table}"
    );
}

#[test]
fn the_page_names_every_other_name_of_a_field() {
    for field in Field::ALL {
        for alias in field.aliases() {
            assert!(
                PAGE.contains(&format!("`{alias}` for `{}`", field.name())),
                "{alias}"
            );
        }
    }
}

#[test]
fn every_filter_on_the_page_is_one() {
    let blocks = PAGE
        .split("```filter\n")
        .skip(1)
        .filter_map(|block| block.split("```").next());
    let filters: Vec<&str> = blocks
        .flat_map(str::lines)
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(filters.len() > 15, "{filters:?}");
    for text in filters {
        parse(text);
    }
}
