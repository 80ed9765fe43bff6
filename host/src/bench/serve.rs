//! Our own side as a contender: answers questions on its standard streams.

use super::protocol::{Reply, Request};
use std::io::{BufRead, Write};

/// Something that can be timed.
pub trait Work {
    /// Versions and choices.
    fn about(&self) -> String;

    /// Does the work of `case` once; `turn` counts the calls of one run, to go through the windows.
    ///
    /// # Errors
    /// The text says why it cannot be done.
    fn step(&mut self, case: usize, turn: usize) -> Result<(), String>;

    /// What comes out for every window of `case`.
    ///
    /// # Errors
    /// As [`Work::step`].
    fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String>;
}

/// Measures this process.
pub trait Meter {
    /// Wall time and processor time of this process, in seconds from any fixed origin.
    fn now(&self) -> (f64, f64);

    /// Largest resident size so far, in bytes.
    fn peak_bytes(&self) -> u64;
}

/// Answers until the questions end.
///
/// # Errors
/// A pipe broke, a question is not in the protocol, or the work failed.
pub fn serve(
    work: &mut dyn Work,
    meter: &dyn Meter,
    questions: impl BufRead,
    mut answers: impl Write,
) -> std::io::Result<()> {
    let mut say = |reply: &Reply| {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        answers.write_all(&line)?;
        answers.flush()
    };
    say(&Reply::Ready {
        about: work.about(),
    })?;
    for line in questions.lines() {
        let reply = match serde_json::from_str(&line?)? {
            Request::Run { case, times } => run(work, meter, case, times)?,
            Request::Output { case } => Reply::Output {
                rows: work.output(case).map_err(std::io::Error::other)?,
            },
            Request::Memory => Reply::Memory {
                peak_bytes: meter.peak_bytes(),
            },
        };
        say(&reply)?;
    }
    Ok(())
}

fn run(
    work: &mut dyn Work,
    meter: &dyn Meter,
    case: usize,
    times: usize,
) -> std::io::Result<Reply> {
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for turn in 0..times {
        let (wall, cpu) = meter.now();
        work.step(case, turn).map_err(std::io::Error::other)?;
        let (wall_end, cpu_end) = meter.now();
        walls.push(wall_end - wall);
        cpus.push(cpu_end - cpu);
    }
    Ok(Reply::Times {
        wall: walls,
        cpu: cpus,
    })
}

#[cfg(test)]
mod tests {
    use super::super::protocol::parse;
    use super::*;
    use std::cell::Cell;

    struct Echo;
    impl Work for Echo {
        fn about(&self) -> String {
            "echo".to_owned()
        }
        fn step(&mut self, case: usize, _: usize) -> Result<(), String> {
            if case == 0 {
                Ok(())
            } else {
                Err("no such case".to_owned())
            }
        }
        fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String> {
            Ok(vec![vec![case as f32]])
        }
    }

    /// Every look at the clock finds it a second later.
    struct Ticks(Cell<f64>);
    impl Meter for Ticks {
        fn now(&self) -> (f64, f64) {
            self.0.set(self.0.get() + 1.0);
            (self.0.get(), 2.0 * self.0.get())
        }
        fn peak_bytes(&self) -> u64 {
            9
        }
    }

    fn ask(questions: &str) -> (std::io::Result<()>, Vec<Reply>) {
        let mut answers = Vec::new();
        let end = serve(
            &mut Echo,
            &Ticks(Cell::new(0.0)),
            questions.as_bytes(),
            &mut answers,
        );
        let text = String::from_utf8(answers).unwrap();
        (end, text.lines().map(|line| parse(line).unwrap()).collect())
    }

    #[test]
    fn each_question_gets_its_answer() {
        let (end, replies) = ask(
            "{\"run\": {\"case\": 0, \"times\": 2}}\n{\"output\": {\"case\": 4}}\n\"memory\"\n",
        );
        end.unwrap();
        let expect = [
            Reply::Ready {
                about: "echo".to_owned(),
            },
            Reply::Times {
                wall: vec![1.0, 1.0],
                cpu: vec![2.0, 2.0],
            },
            Reply::Output {
                rows: vec![vec![4.0]],
            },
            Reply::Memory { peak_bytes: 9 },
        ];
        assert_eq!(replies, expect);
    }

    #[test]
    fn failed_work_and_foreign_questions_end_it() {
        let (end, _) = ask("{\"run\": {\"case\": 1, \"times\": 1}}\n");
        assert!(end.unwrap_err().to_string().contains("no such case"));
        assert!(ask("what?\n").0.is_err());
    }
}
