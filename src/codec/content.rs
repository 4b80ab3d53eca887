//! (see the module's first commit)
