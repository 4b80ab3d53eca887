//! What went wrong with messages: the verdict of the whole tool hangs on it.

use std::collections::BTreeSet;
use std::fmt;

use crate::message;

/// Examples that are kept to be shown.
const EXAMPLES: usize = 5;

/// Sequence numbers that are remembered as missing; more of them count as lost at once.
const MAX_MISSING: usize = 100_000;

/// Counts of every kind of fault, with a few examples.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) wrong: u64,
    /// Exchanges that failed: a status, a cut connection.
    pub(crate) failed: u64,
    examples: Vec<String>,
}

impl Faults {
    /// Whether there was none.
    pub(crate) fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// All faults together.
    pub(crate) fn total(&self) -> u64 {
        self.lost + self.duplicated + self.out_of_order + self.wrong + self.failed
    }

    /// Counts an exchange that failed.
    pub(crate) fn failed(&mut self, why: impl fmt::Display) {
        self.failed += 1;
        self.example(why);
    }

    /// Keeps a few words about a fault that was counted.
    pub(crate) fn example(&mut self, what: impl fmt::Display) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(what.to_string());
        }
    }

    /// Adds the faults of another part of the run.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.wrong += other.wrong;
        self.failed += other.failed;
        other.examples.iter().for_each(|example| self.example(example));
    }

    /// Compares the answer to a session's `nth` call with what it has to be, byte by byte.
    pub(crate) fn check_answer(&mut self, id: u64, nth: u64, expected: &[u8], found: &[u8]) {
        if found == expected {
            return;
        }
        let (found_id, found_nth) = (message::number(found, "id"), message::number(found, "nth"));
        let count = match (found_id, found_nth) {
            (Some(other), _) if other < id => &mut self.duplicated,
            (Some(other), _) if other > id => &mut self.out_of_order,
            // The upstream got a call twice, or one before this never reached it.
            (_, Some(other)) if other > nth => &mut self.duplicated,
            (_, Some(other)) if other < nth => &mut self.lost,
            _ => &mut self.wrong,
        };
        *count += 1;
        let start: String = String::from_utf8_lossy(found).chars().take(100).collect();
        self.example(format_args!(
            "call {id}, the {nth}th, was answered with {} bytes: {start}",
            found.len()
        ));
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            duplicated,
            out_of_order,
            wrong,
            failed,
            examples,
        } = self;
        write!(
            formatter,
            "{lost} lost, {duplicated} duplicated, {out_of_order} out of order, {wrong} wrong, {failed} failed"
        )?;
        examples
            .iter()
            .try_for_each(|example| write!(formatter, "\n  for example: {example}"))
    }
}

/// Whether numbered things come once each and in order.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
    missing: BTreeSet<u64>,
}

impl Sequence {
    /// Takes the next number that came.
    pub(crate) fn take(&mut self, number: u64, faults: &mut Faults) {
        if number == self.next {
            self.next += 1;
        } else if number > self.next {
            self.skip(number, faults);
        } else if self.missing.remove(&number) {
            faults.out_of_order += 1;
            faults.example(format_args!("event {number} came after {}", self.next - 1));
        } else {
            faults.duplicated += 1;
            faults.example(format_args!("event {number} came twice"));
        }
    }

    fn skip(&mut self, number: u64, faults: &mut Faults) {
        faults.example(format_args!("event {number} came where {} was due", self.next));
        for missing in self.next..number {
            if self.missing.len() < MAX_MISSING {
                self.missing.insert(missing);
            } else {
                faults.lost += 1;
            }
        }
        self.next = number + 1;
    }

    /// Numbers that came or were passed over.
    pub(crate) fn seen(&self) -> u64 {
        self.next
    }

    /// Ends the sequence, of which `expected` numbers were to come.
    pub(crate) fn finish(self, expected: u64, faults: &mut Faults) {
        let lost = self.missing.len() as u64 + expected.saturating_sub(self.next);
        if lost > 0 {
            faults.lost += lost;
            faults.example(format_args!("{lost} of {expected} events never came"));
        }
        if self.next > expected {
            faults.wrong += self.next - expected;
            faults.example(format_args!("{} events came of {expected}", self.next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(numbers: &[u64], expected: u64) -> Faults {
        let (mut sequence, mut faults) = (Sequence::default(), Faults::default());
        for number in numbers {
            sequence.take(*number, &mut faults);
        }
        sequence.finish(expected, &mut faults);
        faults
    }

    #[test]
    fn numbers_in_order_are_no_fault() {
        assert!(taken(&[0, 1, 2, 3], 4).is_empty());
    }

    #[test]
    fn a_number_that_never_comes_is_lost() {
        assert_eq!(taken(&[0, 1, 3], 4).lost, 1);
        assert_eq!(taken(&[0, 1], 4).lost, 2);
        assert_eq!(taken(&[], 4).lost, 4);
        assert_eq!(taken(&[2], 4).lost, 3);
    }

    #[test]
    fn a_number_that_comes_again_is_a_duplicate() {
        let faults = taken(&[0, 1, 1, 2, 0], 3);
        assert_eq!((faults.duplicated, faults.total()), (2, 2));
    }

    #[test]
    fn a_number_that_comes_late_is_out_of_order_and_not_lost() {
        let faults = taken(&[0, 2, 1, 3], 4);
        assert_eq!((faults.out_of_order, faults.total()), (1, 1));
    }

    #[test]
    fn more_than_expected_is_wrong() {
        assert_eq!(taken(&[0, 1, 2], 2).wrong, 1);
    }

    /// The faults of one answer: made for `id` and `nth`, changed, and checked as that to call 5, the 2nd.
    fn checked(id: u64, nth: u64, change: impl FnOnce(&mut Vec<u8>)) -> Faults {
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        message::answer(5, 2, 1_000, &mut expected);
        message::answer(id, nth, 1_000, &mut found);
        change(&mut found);
        let mut faults = Faults::default();
        faults.check_answer(5, 2, &expected, &found);
        faults
    }

    #[test]
    fn the_right_answer_is_no_fault() {
        assert!(checked(5, 2, |_| ()).is_empty());
    }

    #[test]
    fn an_answer_with_another_id_is_a_duplicate_or_out_of_order() {
        assert_eq!(checked(4, 1, |_| ()).duplicated, 1);
        assert_eq!(checked(6, 3, |_| ()).out_of_order, 1);
    }

    #[test]
    fn a_call_that_reached_the_upstream_twice_or_never_is_noticed() {
        assert_eq!(checked(5, 3, |_| ()).duplicated, 1);
        assert_eq!(checked(5, 1, |_| ()).lost, 1);
    }

    #[test]
    fn one_wrong_byte_is_wrong() {
        assert_eq!(checked(5, 2, |found| found[700] ^= 1).wrong, 1);
        assert_eq!(checked(5, 2, |found| found.truncate(999)).wrong, 1);
        assert_eq!(checked(5, 2, Vec::clear).wrong, 1);
    }

    #[test]
    fn faults_of_parts_add_up() {
        let mut all = taken(&[0, 2], 3);
        all.merge(&taken(&[0, 0], 1));
        assert_eq!((all.lost, all.duplicated, all.total()), (1, 1, 2));
        assert!(all.to_string().contains("1 lost, 1 duplicated"));
    }
}
