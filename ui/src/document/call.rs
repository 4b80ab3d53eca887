//! All messages of one call, with their distance from its request.

use shadowcat::snapshot::MessageDetail;

use super::{DocLine, Look};
use crate::format;
use crate::paint::Line;
use crate::row_text;
use crate::theme::Role;
use crate::verdict_text;

pub(super) fn lines(message: &MessageDetail, look: &Look<'_>) -> Vec<DocLine> {
    let Some(first) = message.call.first() else {
        return vec![Line::of(Role::Dim, "this message belongs to no call").into()];
    };
    let mut lines: Vec<DocLine> = Vec::with_capacity(message.call.len() + 1);
    for row in &message.call {
        let sign = if row.id == message.row.id {
            look.theme.sign("▸", ">")
        } else {
            " "
        };
        let after = format!("{sign} +{}", format::duration(row.at.since(first.at)));
        let mut line = Line::default().say(Role::Dim, &after).pad_to(14);
        line.extend(row_text::direction(row, look.theme));
        line = line.with(Role::Text, " ");
        line.extend(row_text::what(row));
        line = line.with(Role::Text, "  ");
        line.extend(row_text::state(row, None, look.theme));
        if let Some([mark, ..]) = verdict_text::marks(row, look.theme) {
            line = line.with(Role::Text, "  ").joined(mark);
        }
        line = line.say(Role::Dim, &format!("  {}", format::size(row.size)));
        lines.push(DocLine {
            line,
            target: Some(row.id),
        });
    }
    if message.call_cut > 0 {
        let cut = format::plural(message.call_cut, "further message");
        lines.push(
            Line::default()
                .say(Role::Warn, &format!("{cut} not listed"))
                .into(),
        );
    }
    lines
}
