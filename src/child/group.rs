//! A process group: what a program and the programs that it starts in turn have in common.

/// What a program can be told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChildSignal {
    /// SIGHUP: its terminal has gone.
    Hangup,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGQUIT: Ctrl-\.
    Quit,
    /// SIGTERM: end in order.
    Terminate,
    /// SIGUSR1: whatever the program makes of it.
    User1,
    /// SIGUSR2: whatever the program makes of it.
    User2,
    /// SIGKILL: end at once.
    Kill,
}

impl ChildSignal {
    /// Whether it says that the program is to end, and not something else.
    pub const fn asks_for_end(self) -> bool {
        !matches!(self, Self::User1 | Self::User2)
    }
}

/// The group that a program of ours leads, by the number of its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group(u32);

impl Group {
    /// The group led by process `leader`.
    pub(super) const fn led_by(leader: u32) -> Self {
        Self(leader)
    }

    /// Its number.
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

#[cfg(unix)]
mod on_unix {
    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

    use super::{ChildSignal, Group};

    impl ChildSignal {
        const fn number(self) -> Signal {
            match self {
                Self::Hangup => Signal::HUP,
                Self::Interrupt => Signal::INT,
                Self::Quit => Signal::QUIT,
                Self::Terminate => Signal::TERM,
                Self::User1 => Signal::USR1,
                Self::User2 => Signal::USR2,
                Self::Kill => Signal::KILL,
            }
        }
    }

    impl Group {
        fn id(self) -> Option<Pid> {
            // Group 0 is our own, and 1 is everybody for some calls: neither is ever a program of ours.
            i32::try_from(self.number())
                .ok()
                .filter(|number| *number > 1)
                .and_then(Pid::from_raw)
        }

        /// Tells every process of the group. False if there is none left.
        pub(in crate::child) fn signal(self, signal: ChildSignal) -> bool {
            self.id()
                .is_some_and(|id| kill_process_group(id, signal.number()).is_ok())
        }

        /// Whether a process of the group is left; one that has ended and was not waited for counts too.
        pub(in crate::child) fn is_alive(self) -> bool {
            self.id().is_some_and(|id| test_kill_process_group(id).is_ok())
        }
    }
}

/// Elsewhere there are no groups; the program itself is ended through its handle.
#[cfg(not(unix))]
impl Group {
    pub(super) const fn signal(self, _signal: ChildSignal) -> bool {
        false
    }

    pub(super) const fn is_alive(self) -> bool {
        false
    }
}
