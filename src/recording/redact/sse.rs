//! Secrets in one block of an event stream: in its data lines and comments.

use memchr::memchr2;

use super::json::JsonRedactor;
use super::output::Output;
use super::prose::ProseRedactor;
use crate::codec::BYTE_ORDER_MARK;

/// Bytes of a field's name that tell whether it is `data`, with a byte order mark before it.
const NAME_BYTES: usize = 8;

/// Redacts a block that comes in parts of any size. The data of several lines is one text; if it starts like JSON it
/// is redacted as JSON, else as text (the `endpoint` event of HTTP+SSE). Comments are text. An `id` stays: without it
/// nobody can resume.
#[derive(Debug, Default)]
pub(super) struct SseRedactor {
    place: Place,
    name: Vec<u8>,
    data: Data,
    comment: Option<Box<ProseRedactor>>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    /// In the name of a field.
    #[default]
    Name,
    /// After the colon of a data line.
    AfterColon,
    /// In the data.
    Data,
    Comment,
    /// In the value of another field.
    Other,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    Unknown,
    Json(JsonRedactor),
    Text(Box<ProseRedactor>),
}

impl SseRedactor {
    /// Takes the next bytes of the block.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Output<'_>) {
        while let Some(first) = bytes.first() {
            let used = match self.place {
                Place::Name => self.name_byte(*first, out),
                Place::AfterColon => {
                    self.place = Place::Data;
                    let blank = usize::from(*first == b' ');
                    out.pass(&bytes[..blank]);
                    blank
                }
                Place::Data | Place::Comment | Place::Other => self.value(bytes, out),
            };
            bytes = &bytes[used..];
        }
    }

    /// The block is over.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        match &mut self.data {
            Data::Unknown => {}
            Data::Json(json) => json.finish(out),
            Data::Text(text) => text.finish(out),
        }
        if let Some(comment) = &mut self.comment {
            comment.finish(out);
        }
    }

    fn name_byte(&mut self, byte: u8, out: &mut Output<'_>) -> usize {
        out.pass(&[byte]);
        match byte {
            b'\r' | b'\n' => self.name.clear(),
            b':' => {
                let name = self.name.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.name);
                self.place = match name {
                    b"data" => Place::AfterColon,
                    b"" => Place::Comment,
                    _ => Place::Other,
                };
                self.name.clear();
            }
            _ if self.name.len() < NAME_BYTES => self.name.push(byte),
            _ => {}
        }
        1
    }

    /// The rest of a line, or as much of it as is there.
    fn value(&mut self, bytes: &[u8], out: &mut Output<'_>) -> usize {
        let end = memchr2(b'\r', b'\n', bytes);
        let value = &bytes[..end.unwrap_or(bytes.len())];
        match self.place {
            Place::Data => self.data(value, out),
            Place::Comment => self.comment.get_or_insert_default().push(value, out),
            _ => out.pass(value),
        }
        if end.is_some() {
            match (std::mem::take(&mut self.place), &mut self.comment) {
                (Place::Data, _) => self.line_break(out),
                (Place::Comment, Some(comment)) => comment.finish(out),
                _ => {}
            }
        }
        value.len()
    }

    fn line_break(&mut self, out: &mut Output<'_>) {
        match &mut self.data {
            Data::Unknown => {}
            Data::Json(json) => json.line_break(out),
            Data::Text(text) => text.finish(out),
        }
    }

    fn data(&mut self, value: &[u8], out: &mut Output<'_>) {
        if matches!(self.data, Data::Unknown) {
            let blank = value.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.data = match value.get(blank) {
                None => Data::Unknown,
                Some(b'{' | b'[') => Data::Json(JsonRedactor::default()),
                Some(_) => Data::Text(Box::default()),
            };
        }
        match &mut self.data {
            Data::Unknown => out.pass(value),
            Data::Json(json) => json.push(value, out),
            Data::Text(text) => text.push(value, out),
        }
    }
}
