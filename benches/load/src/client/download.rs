//! A client that fetches a large body and checks every byte of it.

use anyhow::{Result, bail};

use crate::buffered::Body;
use crate::events::Spec;
use crate::faults::Faults;
use crate::pattern;

use super::{Link, Session};

/// A body that is being fetched.
#[derive(Debug)]
pub(crate) struct Download {
    link: Link,
    body: Body,
    stream: u64,
    bytes: u64,
}

impl Download {
    /// Asks for the body that `spec` tells of and reads the head of the answer, nothing more.
    ///
    /// # Errors
    /// There was no such body.
    pub(crate) async fn open(mut link: Link, session: &Session, spec: &Spec) -> Result<Self> {
        let fields = format!("{}X-Load: {}\r\n", session.handle.fields, spec.to_field());
        link.send("GET", &fields).await?;
        let head = link.answer_head().await?;
        if head.status() != 200 {
            bail!("a download was answered with `{}`", head.line);
        }
        let body = Body::new(head.response_framing());
        Ok(Self {
            link,
            body,
            stream: spec.stream,
            bytes: spec.plain,
        })
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn finish(mut self, faults: &mut Faults) -> Result<()> {
        let (mut part, mut from) = (Vec::new(), 0);
        loop {
            part.clear();
            let more = self.link.wire.part(&mut self.body, &mut part).await?;
            if !pattern::matches(self.stream, from, &part) {
                faults.wrong += 1;
                faults.example(format_args!("a body is damaged after {from} bytes"));
                return Ok(());
            }
            from += part.len();
            if !more {
                break;
            }
        }
        if from as u64 != self.bytes {
            faults.lost += 1;
            faults.example(format_args!("{from} of {} bytes of a body came", self.bytes));
        }
        Ok(())
    }
}
