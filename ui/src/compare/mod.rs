//! What compares: two files, or a recording and a live server.

mod diff;
mod drive;
mod junit;
mod text;

pub(crate) use diff::{DiffJob, run as diff};
pub(crate) use drive::{Done, DriveJob, run as drive};
