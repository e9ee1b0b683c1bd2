//! Waiting for what somebody else has, by trying again: a lock, a device that the kernel is about to let go.

use std::time::{Duration, Instant};

/// How long we sleep between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Tries until there is an answer; `None` if there is none within `patience`. It tries at least once. Whether a
/// signal ends the waiting as well is for `attempt` to say, by an answer of its own.
pub(crate) fn wait_for<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        match attempt() {
            None if Instant::now() < end => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_at_least_once_and_until_there_is_an_answer() {
        let mut tries = 0;
        let mut third = |patience| {
            wait_for(patience, || {
                tries += 1;
                (tries == 3).then_some(tries)
            })
        };
        assert_eq!(third(Duration::ZERO), None);
        assert_eq!(third(Duration::from_secs(60)), Some(3));
    }
}
