//! The seam between the agent (sessions, slots) and the pipeline (windows, encoder, adaptation).
//!
//! The pipeline runs on a thread of its own, so that a session never waits for inference or training. Pose events come
//! through one bounded channel, orders (a new bundle, a command, a question) through another that has priority; between
//! them, when no pose waits, the thread offers the pipeline idle time. What the pipeline finds goes to the agent as
//! [`Output`]s.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tendon_shared::protocol::adapt::{AdaptCommand, AdaptReport, Label, Labelled};
use tendon_shared::protocol::bridge::BridgeReport;
use tendon_shared::protocol::capture::Capture;
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::telemetry::{Counters, InputCounts, Numbered, Recognition};
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait for the pipeline's thread.
const ORDERS: usize = 8;

/// Whether a bundle has proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves on trial and may be taken back.
    Trial,
    /// It is confirmed.
    Confirmed,
}

/// What the pipeline finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An action was recognised.
    Recognition(Recognition),
    /// An action was recognised in a window that can be named.
    Numbered(Numbered),
    /// A window went through the encoder. On trial, a window that is not healthy rolls the bundle back.
    Window {
        /// Whether the answer makes sense: every value finite, the encoder without error.
        healthy: bool,
    },
    /// Adaptation changed its state.
    Adapt(AdaptReport),
    /// A pose bridge told about itself.
    Bridge(BridgeReport),
    /// From here on a new bundle serves. The pipeline's thread says this, the pipeline itself never does.
    Serves(Standing),
}

/// Whether the pipeline has more to do without new poses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It would use more idle time at once.
    More,
    /// It waits for poses.
    Nothing,
}

/// Everything from pose events to recognised actions, adaptation included. Calls come from one thread, one at a time.
pub trait Pipeline: Send + 'static {
    /// A bundle whose signature was verified.
    type Bundle: Send + Sync + 'static;
    /// What a pose source says, locally or over a link.
    type Event: From<Capture> + Send + 'static;

    /// Serves `bundle` from now on; called at start, for a trial, to go back after a failed trial, and once more with the same
    /// bundle when its trial ended well. Adaptation that belongs to this bundle may be taken up again.
    ///
    /// # Errors
    /// What is wrong with the bundle; what served before must serve on.
    fn switch(&mut self, bundle: Arc<Self::Bundle>, standing: Standing) -> Result<(), WireError>;

    /// Serves nothing from now on: a first bundle failed its trial.
    fn clear(&mut self);

    /// Takes one event of a pose source.
    fn take(&mut self, event: Self::Event, output: &mut dyn FnMut(Output));

    /// Uses idle time for one short piece of work (at most about 100 ms), such as an update of the student.
    fn idle(&mut self, output: &mut dyn FnMut(Output)) -> Idle;

    /// Tells about adaptation or changes it.
    ///
    /// # Errors
    /// [`WireError::NoModel`] or [`WireError::NothingToUndo`].
    fn command(&mut self, command: AdaptCommand) -> Result<AdaptReport, WireError>;

    /// Takes what a person says that a window shows.
    ///
    /// # Errors
    /// [`WireError::NoModel`].
    fn label(&mut self, label: &Label) -> Result<Labelled, WireError>;

    /// Adds what it knows to `counters` and leaves the other fields alone.
    fn count(&self, counters: &mut Counters);

    /// Adds what it knows of the input to `counts` and leaves the other fields alone.
    fn inputs(&self, counts: &mut InputCounts);

    /// Stores what must survive; the last call.
    fn close(&mut self);
}

/// An order to the pipeline's thread.
enum Order<B> {
    Switch(Arc<B>, Standing, oneshot::Sender<Result<(), WireError>>),
    Command(
        AdaptCommand,
        oneshot::Sender<Result<AdaptReport, WireError>>,
    ),
    Label(Label, oneshot::Sender<Result<Labelled, WireError>>),
    Clear(oneshot::Sender<()>),
    Count(oneshot::Sender<Counters>),
    Inputs(oneshot::Sender<InputCounts>),
    Close,
}

/// The agent's end of a running pipeline.
pub struct Handle<P: Pipeline> {
    events: mpsc::Sender<P::Event>,
    orders: mpsc::Sender<Order<P::Bundle>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Starts `pipeline` on a thread of its own. At most `waiting` events wait for it; what it finds goes to `outputs`.
///
/// # Errors
/// The operating system gives no thread.
pub fn spawn<P: Pipeline>(
    mut pipeline: P,
    waiting: usize,
    outputs: mpsc::UnboundedSender<Output>,
) -> std::io::Result<Handle<P>> {
    let (events, mut event_queue) = mpsc::channel(waiting);
    let (orders, mut order_queue) = mpsc::channel(ORDERS);
    let thread = std::thread::Builder::new()
        .name("pipeline".into())
        .spawn(move || {
            tendon_adapt::device::compute_here();
            work(&mut pipeline, &mut event_queue, &mut order_queue, &outputs);
            pipeline.close();
        })?;
    Ok(Handle {
        events,
        orders,
        thread: Mutex::new(Some(thread)),
    })
}

/// What the thread does next.
enum Next<P: Pipeline> {
    Order(Order<P::Bundle>),
    Event(P::Event),
    Idle,
    Close,
}

fn work<P: Pipeline>(
    pipeline: &mut P,
    events: &mut mpsc::Receiver<P::Event>,
    orders: &mut mpsc::Receiver<Order<P::Bundle>>,
    outputs: &mpsc::UnboundedSender<Output>,
) {
    // Nobody listens any more only when the agent is going down; the thread then ends by `Close`.
    let mut output = |found| {
        let _ = outputs.send(found);
    };
    let mut idle = Idle::More;
    loop {
        match next::<P>(events, orders, idle) {
            Next::Order(Order::Switch(bundle, standing, answer)) => {
                let switched = pipeline.switch(bundle, standing);
                if switched.is_ok() {
                    output(Output::Serves(standing));
                }
                let _ = answer.send(switched);
                idle = Idle::More;
            }
            Next::Order(Order::Command(command, answer)) => {
                let _ = answer.send(pipeline.command(command));
                idle = Idle::More;
            }
            Next::Order(Order::Label(label, answer)) => {
                let _ = answer.send(pipeline.label(&label));
                idle = Idle::More;
            }
            Next::Order(Order::Inputs(answer)) => {
                let mut counts = InputCounts::default();
                pipeline.inputs(&mut counts);
                let _ = answer.send(counts);
            }
            Next::Order(Order::Clear(answer)) => {
                pipeline.clear();
                let _ = answer.send(());
            }
            Next::Order(Order::Count(answer)) => {
                let mut counters = Counters::default();
                pipeline.count(&mut counters);
                let _ = answer.send(counters);
            }
            Next::Event(event) => {
                pipeline.take(event, &mut output);
                idle = Idle::More;
            }
            Next::Idle => idle = pipeline.idle(&mut output),
            Next::Order(Order::Close) | Next::Close => return,
        }
    }
}

/// Orders first, then events, then idle work; sleeps when there is none of them.
fn next<P: Pipeline>(
    events: &mut mpsc::Receiver<P::Event>,
    orders: &mut mpsc::Receiver<Order<P::Bundle>>,
    idle: Idle,
) -> Next<P> {
    use std::task::{Context, Poll, Waker};
    let poll = |context: &mut Context<'_>| match orders.poll_recv(context) {
        Poll::Ready(Some(order)) => Poll::Ready(Next::Order(order)),
        Poll::Ready(None) => Poll::Ready(Next::Close),
        Poll::Pending => match events.poll_recv(context) {
            Poll::Ready(Some(event)) => Poll::Ready(Next::Event(event)),
            // The handle holds a sender, so the events end only together with the orders.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        },
    };
    let mut poll = poll;
    if idle == Idle::More {
        return match poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => next,
            Poll::Pending => Next::Idle,
        };
    }
    block_on(std::future::poll_fn(poll))
}

/// Waits for `future` on this thread, without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

impl<P: Pipeline> Handle<P> {
    /// Where pose sources put their events.
    pub fn events(&self) -> mpsc::Sender<P::Event> {
        self.events.clone()
    }

    /// See [`Pipeline::switch`].
    ///
    /// # Errors
    /// What is wrong with the bundle; [`WireError::Storage`] when the pipeline is gone.
    pub async fn switch(
        &self,
        bundle: Arc<P::Bundle>,
        standing: Standing,
    ) -> Result<(), WireError> {
        self.ask(|answer| Order::Switch(bundle, standing, answer))
            .await
            .ok_or(WireError::Storage)?
    }

    /// See [`Pipeline::command`].
    ///
    /// # Errors
    /// Why not; [`WireError::Storage`] when the pipeline is gone.
    pub async fn command(&self, command: AdaptCommand) -> Result<AdaptReport, WireError> {
        self.ask(|answer| Order::Command(command, answer))
            .await
            .ok_or(WireError::Storage)?
    }

    /// See [`Pipeline::label`].
    ///
    /// # Errors
    /// Why not; [`WireError::Storage`] when the pipeline is gone.
    pub async fn label(&self, label: Label) -> Result<Labelled, WireError> {
        self.ask(|answer| Order::Label(label, answer))
            .await
            .ok_or(WireError::Storage)?
    }

    /// See [`Pipeline::inputs`].
    pub async fn inputs(&self) -> InputCounts {
        self.ask(Order::Inputs).await.unwrap_or_default()
    }

    /// See [`Pipeline::count`]; every event that was taken before is counted.
    pub async fn count(&self) -> Counters {
        self.ask(Order::Count).await.unwrap_or_default()
    }

    /// Waits until the pipeline's thread has answered a question; false when it is gone.
    pub async fn answers(&self) -> bool {
        self.ask(Order::Count).await.is_some()
    }

    /// See [`Pipeline::clear`].
    pub async fn clear(&self) {
        // A pipeline that is gone serves nothing either.
        let _ = self.ask(Order::Clear).await;
    }

    /// Waits until every event that was put in before has been taken.
    pub async fn drain(&self) {
        // All places are free only when no event waits; the count is answered after the last event was taken.
        if let Ok(places) = self.events.reserve_many(self.events.max_capacity()).await {
            drop(places);
            self.count().await;
        }
    }

    /// Ends the thread after the work at hand and waits for it, so that everything is stored.
    pub async fn close(&self) {
        let _ = self.orders.send(Order::Close).await;
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // A panic of the pipeline was printed by its own thread.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order<P::Bundle>,
    ) -> Option<T> {
        let (answer, asked) = oneshot::channel();
        self.orders.send(order(answer)).await.ok()?;
        asked.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds up numbers, and does three pieces of idle work.
    #[derive(Default)]
    struct Adder {
        sum: u64,
        idle: u32,
    }

    /// A number to add.
    struct Number(u64);

    impl From<Capture> for Number {
        fn from(_: Capture) -> Self {
            Self(0)
        }
    }

    impl Pipeline for Adder {
        type Bundle = u64;
        type Event = Number;

        fn switch(&mut self, bundle: Arc<u64>, _: Standing) -> Result<(), WireError> {
            self.sum = *bundle;
            Ok(())
        }

        fn clear(&mut self) {}

        fn take(&mut self, event: Number, output: &mut dyn FnMut(Output)) {
            self.sum += event.0;
            output(Output::Window { healthy: true });
        }

        fn idle(&mut self, _: &mut dyn FnMut(Output)) -> Idle {
            self.idle += 1;
            if self.idle < 3 {
                Idle::More
            } else {
                Idle::Nothing
            }
        }

        fn command(&mut self, _: AdaptCommand) -> Result<AdaptReport, WireError> {
            Err(WireError::NoModel)
        }

        fn label(&mut self, _: &Label) -> Result<Labelled, WireError> {
            Err(WireError::NoModel)
        }

        fn count(&self, counters: &mut Counters) {
            counters.windows = self.sum;
            counters.updates = self.idle;
        }

        fn inputs(&self, _: &mut InputCounts) {}

        fn close(&mut self) {}
    }

    #[tokio::test]
    async fn takes_events_orders_and_idle_time() {
        let (outputs, mut found) = mpsc::unbounded_channel();
        let handle = spawn(Adder::default(), 4, outputs).unwrap();
        handle.switch(Arc::new(10), Standing::Trial).await.unwrap();
        for event in [1, 2, 3] {
            handle.events().send(Number(event)).await.unwrap();
        }
        handle.drain().await;
        assert_eq!(found.recv().await, Some(Output::Serves(Standing::Trial)));
        for _ in 0..3 {
            assert_eq!(found.recv().await, Some(Output::Window { healthy: true }));
        }
        assert_eq!(handle.count().await.windows, 16);
        assert_eq!(
            handle.command(AdaptCommand::Report).await,
            Err(WireError::NoModel)
        );
        handle.close().await;
        handle.close().await;
        assert_eq!(found.recv().await, None);
    }
}
