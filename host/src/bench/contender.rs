//! A process that does the work and times itself.

use super::protocol::{MAX_LINE_BYTES, Reply, Request, parse};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines of stderr that are kept to explain a failure.
const KEPT_LINES: usize = 20;

/// A contender that is ready to be asked. Dropping it ends its process.
#[derive(Debug)]
pub struct Contender {
    name: String,
    about: String,
    process: Process,
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// It can be asked.
    Ready(Contender),
    /// Something that it needs is not installed.
    Missing {
        /// Its name.
        name: String,
        /// What it needs.
        what: String,
    },
}

/// Seconds of each call of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// Wall time.
    pub wall: Vec<f64>,
    /// Processor time of the whole process.
    pub cpu: Vec<f64>,
}

/// A contender that cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}{}", said(.stderr))]
pub struct ContenderError {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
    /// The last lines that it wrote to stderr.
    pub stderr: String,
}

/// What is wrong with a contender.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Its program is not there or may not be run.
    #[error("cannot be started: {0}")]
    Start(std::io::Error),
    /// Its pipes broke.
    #[error("cannot be asked: {0}")]
    Pipe(std::io::Error),
    /// It ended while it was asked.
    #[error("ended ({0}) before it answered")]
    Died(ExitStatus),
    /// It said something that is no answer.
    #[error("answered {line:?}, which is not in the protocol ({reason})")]
    Garbage {
        /// The beginning of the line.
        line: String,
        /// Why it is no answer.
        reason: String,
    },
    /// It answered another question.
    #[error("answered another question than it was asked: {0:.80}")]
    Unexpected(String),
}

fn said(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        text => format!("; it wrote:\n{text}"),
    }
}

impl Contender {
    /// Starts `command` and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started, dies or says something else. A failure of this kind is not the same as [`Started::Missing`].
    pub fn start(name: &str, mut command: Command) -> Result<Started, ContenderError> {
        let mut process = Process::spawn(&mut command).map_err(|problem| ContenderError {
            name: name.to_owned(),
            problem,
            stderr: String::new(),
        })?;
        let name = name.to_owned();
        match process.answer() {
            Ok(Reply::Ready { about }) => Ok(Started::Ready(Self {
                name,
                about,
                process,
            })),
            Ok(Reply::Missing { what }) => Ok(Started::Missing { name, what }),
            Ok(other) => Err(process.fail(&name, Problem::Unexpected(format!("{other:?}")))),
            Err(problem) => Err(process.fail(&name, problem)),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Versions and choices.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Does the work of `case` `times` times.
    ///
    /// # Errors
    /// [`ContenderError`]; it should not be asked again.
    pub fn run(&mut self, case: usize, times: usize) -> Result<Times, ContenderError> {
        match self.ask(Request::Run { case, times })? {
            Reply::Times { wall, cpu } if wall.len() == times && cpu.len() == times => {
                Ok(Times { wall, cpu })
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// What comes out for every window of `case`.
    ///
    /// # Errors
    /// [`ContenderError`]; it should not be asked again.
    pub fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, ContenderError> {
        match self.ask(Request::Output { case })? {
            Reply::Output { rows } => Ok(rows),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Largest resident size of its process so far, in bytes.
    ///
    /// # Errors
    /// [`ContenderError`]; it should not be asked again.
    pub fn peak_bytes(&mut self) -> Result<u64, ContenderError> {
        match self.ask(Request::Memory)? {
            Reply::Memory { peak_bytes } => Ok(peak_bytes),
            other => Err(self.unexpected(&other)),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Reply, ContenderError> {
        let reply = self.process.ask(request);
        reply.map_err(|problem| self.process.fail(&self.name, problem))
    }

    fn unexpected(&mut self, reply: &Reply) -> ContenderError {
        let problem = Problem::Unexpected(format!("{reply:?}"));
        self.process.fail(&self.name, problem)
    }
}

/// The process behind a contender.
#[derive(Debug)]
struct Process {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Process {
    fn spawn(command: &mut Command) -> Result<Self, Problem> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Problem::Start)?;
        let lost = || Problem::Pipe(std::io::ErrorKind::BrokenPipe.into());
        let answers = BufReader::new(child.stdout.take().ok_or_else(lost)?);
        let questions = child.stdin.take();
        let errors = child.stderr.take().ok_or_else(lost)?;
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&stderr);
        // A full pipe would block the contender, so somebody has to read while it is not asked.
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT_LINES {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Ok(Self {
            child,
            questions,
            answers,
            stderr,
            listener: Some(listener),
        })
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Problem> {
        let mut line = serde_json::to_vec(&request).unwrap_or_default();
        line.push(b'\n');
        let Some(questions) = &mut self.questions else {
            return Err(Problem::Pipe(std::io::ErrorKind::BrokenPipe.into()));
        };
        match questions.write_all(&line).and_then(|()| questions.flush()) {
            // It may have died; then its end says more than the broken pipe.
            Ok(()) => self.answer(),
            Err(error) => match self.answer() {
                Err(died @ Problem::Died(_)) => Err(died),
                _ => Err(Problem::Pipe(error)),
            },
        }
    }

    fn answer(&mut self) -> Result<Reply, Problem> {
        let mut line = Vec::new();
        let limit = MAX_LINE_BYTES as u64;
        let mut answers = self.answers.by_ref().take(limit);
        answers
            .read_until(b'\n', &mut line)
            .map_err(Problem::Pipe)?;
        if line.is_empty() {
            return Err(Problem::Died(self.child.wait().map_err(Problem::Pipe)?));
        }
        let text = String::from_utf8_lossy(&line);
        parse(text.trim_end()).map_err(|reason| Problem::Garbage {
            line: text.trim_end().chars().take(200).collect(),
            reason,
        })
    }

    /// Ends the process and collects what it wrote to stderr.
    fn fail(&mut self, name: &str, problem: Problem) -> ContenderError {
        self.end();
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        ContenderError {
            name: name.to_owned(),
            problem,
            stderr: lines.join("\n"),
        }
    }

    fn end(&mut self) {
        self.questions = None;
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A shell script that is a contender.
    fn start(script: &str) -> Result<Started, ContenderError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Contender::start("fake", command)
    }

    fn ready(script: &str) -> Contender {
        let script = format!("echo '{{\"ready\": {{\"about\": \"sh\"}}}}'; {script}");
        match start(&script) {
            Ok(Started::Ready(contender)) => contender,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_taken_and_missing_things_are_named() {
        let mut peer = ready(
            r#"read q; echo '{"times": {"wall": [1, 2], "cpu": [3, 4]}}'
               read q; echo '{"output": {"rows": [[0.5]]}}'
               read q; echo '{"memory": {"peak_bytes": 7}}'"#,
        );
        assert_eq!((peer.name(), peer.about()), ("fake", "sh"));
        let times = peer.run(0, 2).unwrap();
        assert_eq!((times.wall, times.cpu), (vec![1.0, 2.0], vec![3.0, 4.0]));
        assert_eq!(peer.output(0).unwrap(), [[0.5]]);
        assert_eq!(peer.peak_bytes().unwrap(), 7);
        let missing = start(r#"echo '{"missing": {"what": "no onnx"}}'"#).unwrap();
        assert!(matches!(missing, Started::Missing { what, .. } if what == "no onnx"));
    }

    #[test]
    fn garbage_is_shown_with_what_stands_on_stderr() {
        let error = ready("read q; echo oops >&2; echo hello")
            .run(0, 1)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(r#"fake: answered "hello", which is not in the protocol"#),
            "{error}"
        );
        assert!(error.ends_with("it wrote:\noops"), "{error}");
    }

    #[test]
    fn a_dying_peer_is_reported_with_its_last_words() {
        let error = ready("read q; echo 'Traceback: no memory' >&2; exit 3")
            .run(0, 1)
            .unwrap_err();
        assert!(matches!(error.problem, Problem::Died(status) if status.code() == Some(3)));
        assert!(error.to_string().contains("no memory"), "{error}");
        let error = start("echo 'cannot import' >&2; exit 1").unwrap_err();
        assert!(error.to_string().contains("cannot import"), "{error}");
    }

    #[test]
    fn a_wrong_number_of_times_is_no_answer() {
        let error = ready(r#"read q; echo '{"times": {"wall": [1], "cpu": [1]}}'"#)
            .run(0, 2)
            .unwrap_err();
        assert!(matches!(error.problem, Problem::Unexpected(_)));
    }

    #[test]
    fn a_program_that_is_not_there_cannot_be_started() {
        let error = Contender::start("gone", Command::new("/no/such/python")).unwrap_err();
        assert!(matches!(error.problem, Problem::Start(_)));
    }
}
