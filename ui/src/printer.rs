//! Standard output behind a thread of its own, so that a slow reader keeps nobody waiting but the one who prints.

use std::io::{self, Write};

use tokio::sync::{mpsc, oneshot};

/// Batches between the one who prints and the thread. Full: the one who prints waits.
const BATCHES: usize = 2;

/// Prints batches of whole lines, each flushed at once.
#[derive(Debug)]
pub(crate) struct Printer {
    batches: mpsc::Sender<Vec<u8>>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Printer {
    /// A printer to standard output.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub(crate) fn to_stdout() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (batches, mut waiting) = mpsc::channel::<Vec<u8>>(BATCHES);
        let (end, ended) = oneshot::channel();
        let work = move || {
            let mut outcome = Ok(());
            while let (Ok(()), Some(batch)) = (&outcome, waiting.blocking_recv()) {
                outcome = out.write_all(&batch).and_then(|()| out.flush());
            }
            // Nobody listens any more if the process was told to leave at once.
            let _ = end.send(outcome);
        };
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(work)?;
        Ok(Self { batches, ended })
    }

    /// Hands over a batch; waits if two are still unwritten. `false` once nothing can be written any more.
    ///
    /// # Cancel safety
    /// A dropped future may not have handed over the batch.
    pub(crate) async fn print(&self, batch: Vec<u8>) -> bool {
        batch.is_empty() || self.batches.send(batch).await.is_ok()
    }

    /// Waits until everything is written. A reader that went away has seen what it wanted: that is no error.
    ///
    /// # Errors
    /// What the system said when writing failed.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.batches);
        match self.ended.await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Ok(outcome) => outcome,
            Err(_) => Err(io::Error::other("the thread that writes to stdout panicked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn everything_is_written_in_order_before_the_end() {
        let page = Page::default();
        let printer = Printer::to(page.clone()).unwrap();
        for number in 0..10 {
            assert!(printer.print(format!("{number}\n").into_bytes()).await);
        }
        printer.finish().await.unwrap();
        assert_eq!(
            page.0.lock().unwrap().as_slice(),
            b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"
        );
    }

    #[tokio::test]
    async fn a_reader_that_went_away_ends_the_printing_without_an_error() {
        let printer = Printer::to(Broken(io::ErrorKind::BrokenPipe)).unwrap();
        while printer.print(b"x\n".to_vec()).await {}
        printer.finish().await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_reported() {
        let printer = Printer::to(Broken(io::ErrorKind::StorageFull)).unwrap();
        while printer.print(b"x\n".to_vec()).await {}
        assert_eq!(
            printer.finish().await.unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    }
}
