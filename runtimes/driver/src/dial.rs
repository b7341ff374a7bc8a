//! Dials: a dial tries to reach a server at the addresses of its name, several at a time (Happy Eyeballs, RFC 8305). This module also
//! decides the order in which the next dial tries them.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use metalbond::{ConnId, PeerId, SessionState, Transition};

use crate::Runtime;
use crate::clock::Clock;
use crate::mailbox::{Event, Events};

/// How long an attempt runs before the next address is tried in parallel. RFC 8305 recommends this value.
const STAGGER: Duration = Duration::from_millis(250);
/// The most attempts at a time. For the next address, the oldest is given up, so each has 3 s: enough to send a lost SYN once more.
const ATTEMPTS: usize = 12;
/// The number of addresses that a dial tries at least, even with a handshake timeout of 1 s.
const TRIED: usize = 3;

/// The address of a server's name at which the next dial begins. If a session opened at the address reached last, it is that address.
/// Otherwise it is the one after it, because the program at that address may not be a working server. After each dial that reached no
/// address, it is three addresses further. So every address is tried first at some time, however many there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct DialOrder {
    reached: Option<SocketAddr>,
    /// True if a session opened at the address reached last.
    has_opened: bool,
    /// True while the last dial has reached no address.
    is_dialling: bool,
    /// The number of consecutive dials that reached no address.
    failed: usize,
}

impl DialOrder {
    /// Notes that a dial begins.
    fn begin(&mut self) {
        self.failed = if self.is_dialling { self.failed.wrapping_add(1) } else { 0 };
        self.is_dialling = true;
    }

    /// Notes the address that a dial has reached.
    fn reached(&mut self, addr: SocketAddr) {
        *self = Self { reached: Some(addr), ..Self::default() };
    }

    /// Returns the addresses of the name, given in the resolver's order, in the order in which this dial tries them.
    pub(crate) fn arrange(&self, mut addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let known = self.reached.and_then(|reached| addrs.iter().position(|addr| *addr == reached));
        let first = known.map_or(0, |at| at + usize::from(!self.has_opened));
        if let Some(start) = first.wrapping_add(self.failed.wrapping_mul(TRIED)).checked_rem(addrs.len()) {
            addrs.rotate_left(start);
        }
        addrs
    }
}

/// The [`DialOrder`]s of the servers that a node dials.
#[derive(Default, Debug)]
pub(crate) struct DialOrders(HashMap<PeerId, DialOrder>);

impl DialOrders {
    /// Notes that a dial of a server begins. Returns the order for it.
    pub(crate) fn begin(&mut self, peer: PeerId) -> DialOrder {
        let order = self.0.entry(peer).or_default();
        order.begin();
        *order
    }

    /// Notes the address at which a server was reached.
    pub(crate) fn reached(&mut self, peer: PeerId, addr: SocketAddr) {
        if let Some(order) = self.0.get_mut(&peer) {
            order.reached(addr);
        }
    }

    /// Notes that a session opened, or that a server was removed.
    pub(crate) fn transition(&mut self, transition: &Transition) {
        let Some(peer) = &transition.peer else { return };
        match transition.new {
            SessionState::Established => {
                if let Some(order) = self.0.get_mut(&peer.id) {
                    order.has_opened = true;
                }
            }
            SessionState::Closed => {
                self.0.remove(&peer.id);
            }
            _ => {}
        }
    }
}

/// Tries the addresses in their order, and reports the result to the actor. The node limits the time: it ends the task at the handshake
/// timeout. Connections to an address of the family of `local` come from `local`.
pub(crate) async fn dial<R: Runtime>(
    conn: ConnId,
    addresses: Vec<SocketAddr>,
    local: Option<IpAddr>,
    clock: Clock<R>,
    events: Events<R>,
) {
    let connect = |remote| clock.runtime().connect(remote, local.and_then(|local| local_for(remote, local)));
    let delay = |time| clock.sleep(time);
    let result = connect_any(addresses, connect, delay).await.map_err(|e| e.to_string().into());
    // Fails if the actor has ended.
    let _ = events.send(Event::Dialled { conn, result }).await;
}

/// Returns the local address and port for a connection to `remote`, or `None` if `local` is of the other family. A link-local address gets
/// the scope id of the remote one.
fn local_for(remote: SocketAddr, local: IpAddr) -> Option<SocketAddr> {
    match (remote, local.to_canonical()) {
        (SocketAddr::V4(_), local @ IpAddr::V4(_)) => Some(SocketAddr::new(local, 0)),
        (SocketAddr::V6(remote), IpAddr::V6(local)) => {
            let scope = if local.is_unicast_link_local() { remote.scope_id() } else { 0 };
            Some(SocketAddrV6::new(local, 0, 0, scope).into())
        }
        _ => None,
    }
}

/// Connects to one of several addresses. Tries them in order, the next one when an attempt has failed or 250 ms have passed. Returns the
/// first connection that opens, with its address. `delay` is the runtime's sleep.
///
/// # Errors
/// Returns the error of the last attempt, with its address, if all have failed; `NotFound` if there are no addresses.
async fn connect_any<S, C, D>(
    addrs: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> C,
    delay: impl Fn(Duration) -> D,
) -> io::Result<(S, SocketAddr)>
where
    C: Future<Output = io::Result<S>>,
    D: Future<Output = ()>,
{
    let mut waiting = addrs.into_iter();
    let mut attempts: VecDeque<(SocketAddr, Pin<Box<C>>)> = VecDeque::new();
    let mut timer: Option<Pin<Box<D>>> = None;
    let mut is_next_due = true;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    let of = |addr: SocketAddr, error: &io::Error| io::Error::new(error.kind(), format!("{addr}: {error}"));
    poll_fn(move |cx| {
        loop {
            let mut at = 0;
            while let Some((addr, attempt)) = attempts.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, *addr))),
                    Poll::Ready(Err(error)) => {
                        last = of(*addr, &error);
                        is_next_due = true;
                        attempts.remove(at);
                    }
                    Poll::Pending => at += 1,
                }
            }
            if timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                timer = None;
                is_next_due = true;
            }
            if !is_next_due {
                return Poll::Pending;
            }
            let Some(addr) = waiting.next() else {
                timer = None;
                if attempts.is_empty() {
                    return Poll::Ready(Err(std::mem::replace(&mut last, ErrorKind::Other.into())));
                }
                return Poll::Pending;
            };
            if attempts.len() == ATTEMPTS
                && let Some((given_up, _)) = attempts.pop_front()
            {
                last = of(given_up, &ErrorKind::TimedOut.into());
            }
            attempts.push_back((addr, Box::pin(connect(addr))));
            timer = Some(Box::pin(delay(STAGGER)));
            is_next_due = false;
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;
    use std::net::TcpListener;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use proptest::prelude::*;

    use super::*;
    use crate::testing::Tokio;

    fn addr(n: usize) -> SocketAddr {
        ([192, 0, 2, n as u8], 4711).into()
    }

    fn addrs(count: usize) -> Vec<SocketAddr> {
        (0..count).map(addr).collect()
    }

    proptest! {
        #[test]
        fn a_third_as_many_dials_as_addresses_try_every_address(
            count in 1..60_usize,
            before in 0..60_usize,
            has_opened: bool,
        ) {
            let mut order = DialOrder { reached: Some(addr(before)), has_opened, ..DialOrder::default() };
            let mut tried = BTreeSet::new();
            for _ in 0..count.div_ceil(TRIED) {
                order.begin();
                tried.extend(order.arrange(addrs(count)).into_iter().take(TRIED));
            }
            prop_assert_eq!(tried.len(), count);
        }

        #[test]
        fn every_address_that_is_reached_without_a_session_is_tried_first_once(count in 1..60_usize) {
            let mut order = DialOrder::default();
            let mut reached = BTreeSet::new();
            for _ in 0..count {
                order.begin();
                let first = order.arrange(addrs(count))[0];
                order.reached(first);
                reached.insert(first);
            }
            prop_assert_eq!(reached.len(), count);
        }
    }

    #[test]
    fn the_address_of_the_last_session_is_tried_first_until_it_opens_none() {
        let mut order = DialOrder::default();
        order.begin();
        order.reached(addr(2));
        order.has_opened = true;
        order.begin();
        assert_eq!(order.arrange(addrs(5))[0], addr(2));
        order.reached(addr(2));
        order.begin();
        assert_eq!(order.arrange(addrs(5))[0], addr(3));
    }

    #[test]
    fn a_removed_address_and_a_name_without_addresses_change_no_order() {
        let mut order = DialOrder::default();
        order.reached(addr(9));
        assert_eq!(order.arrange(addrs(3)), addrs(3));
        assert_eq!(order.arrange(Vec::new()), []);
    }

    /// The outcome of a dial in virtual time: its result, when it ended in milliseconds, and when each address was tried.
    struct Outcome {
        result: io::Result<SocketAddr>,
        at: u128,
        tried: Vec<(u128, SocketAddr)>,
    }

    /// Dials addresses in virtual time. `answer` gives for each address after how many milliseconds it answers, and whether it accepts.
    /// Gives up after 10 s.
    fn dial(addrs: Vec<SocketAddr>, answer: impl Fn(SocketAddr) -> (u128, bool)) -> Outcome {
        let now = Cell::new(0);
        let tried = RefCell::new(Vec::new());
        let until = |at: u128| {
            poll_fn({
                let now = &now;
                move |_| if now.get() >= at { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let connect = |addr| {
            tried.borrow_mut().push((now.get(), addr));
            let (after, connects) = answer(addr);
            let answered = until(now.get() + after);
            async move {
                answered.await;
                if connects { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) }
            }
        };
        let delay = |time: Duration| until(now.get() + time.as_millis());
        let result = {
            let mut dial = pin!(connect_any(addrs, connect, delay));
            loop {
                match dial.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => break result.map(|((), addr)| addr),
                    Poll::Pending if now.get() == 10_000 => break Err(ErrorKind::TimedOut.into()),
                    Poll::Pending => now.set(now.get() + 1),
                }
            }
        };
        Outcome { result, at: now.get(), tried: tried.into_inner() }
    }

    const NEVER: (u128, bool) = (u128::MAX / 2, false);

    #[test]
    fn addresses_that_do_not_answer_cost_a_quarter_of_a_second_each() {
        let outcome = dial(addrs(5), |tried| if tried == addr(4) { (10, true) } else { NEVER });
        assert_eq!(outcome.result.unwrap(), addr(4));
        assert_eq!(outcome.at, 4 * 250 + 10);
    }

    #[test]
    fn an_address_that_refuses_costs_nothing() {
        let outcome = dial(addrs(40), |tried| if tried == addr(39) { (10, true) } else { (0, false) });
        assert_eq!((outcome.result.unwrap(), outcome.at), (addr(39), 10));
    }

    #[test]
    fn a_dial_waits_for_an_address_that_answers_slowly() {
        let outcome = dial(addrs(2), |tried| if tried == addr(0) { (600, true) } else { NEVER });
        assert_eq!((outcome.result.unwrap(), outcome.at), (addr(0), 600));
    }

    #[test]
    fn a_dial_of_ten_seconds_tries_forty_addresses_and_gives_each_three_seconds() {
        let outcome = dial(addrs(50), |tried| if tried == addr(7) { (2_990, false) } else { NEVER });
        assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(outcome.tried.len() >= 40, "{}", outcome.tried.len());
        let late = dial(addrs(50), |tried| if tried == addr(7) { (2_990, true) } else { NEVER });
        assert_eq!(late.result.unwrap(), addr(7), "it had its three seconds");
    }

    #[test]
    fn the_local_address_is_used_for_its_family_and_on_the_link_of_the_remote_one() {
        let end = |remote: &str, local: &str| local_for(remote.parse().unwrap(), local.parse().unwrap());
        let some = |text: &str| Some(text.parse().unwrap());
        assert_eq!(end("192.0.2.1:4711", "192.0.2.2"), some("192.0.2.2:0"));
        assert_eq!(end("192.0.2.1:4711", "::ffff:192.0.2.2"), some("192.0.2.2:0"));
        assert_eq!(end("[2001:db8::1]:4711", "2001:db8::2"), some("[2001:db8::2]:0"));
        assert_eq!(end("[fe80::1%3]:4711", "fe80::2"), some("[fe80::2%3]:0"));
        assert_eq!(end("192.0.2.1:4711", "2001:db8::2"), None);
        assert_eq!(end("[2001:db8::1]:4711", "192.0.2.2"), None);
    }

    #[test]
    fn the_last_error_is_returned_with_its_address() {
        let outcome = dial(addrs(3), |_| (0, false));
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("192.0.2.2:4711: "), "{error}");
        assert_eq!(dial(Vec::new(), |_| NEVER).result.unwrap_err().kind(), ErrorKind::NotFound);
    }

    /// Dials addresses with real sockets.
    async fn reach(addresses: Vec<SocketAddr>) -> io::Result<SocketAddr> {
        let runtime = Tokio::current();
        let connect = |address| runtime.connect(address, None);
        let delay = |time| runtime.sleep_until(runtime.now() + time);
        Ok(connect_any(addresses, connect, delay).await?.1)
    }

    #[tokio::test]
    async fn the_next_address_is_tried_after_a_refusal_and_an_error_names_the_last_one() {
        let placeholder = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = placeholder.local_addr().unwrap();
        drop(placeholder);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        assert_eq!(reach(vec![dead, dead, alive, dead]).await.unwrap(), alive);
        let error = reach(vec![dead]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("{dead}: ")), "{error}");
    }

    /// The backlog of the first address is full, so no attempt to connect to it is answered.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn four_addresses_that_do_not_answer_leave_time_for_the_fifth() {
        use socket2::{Domain, Socket, Type};

        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let (full, waiting, refused) = (new(), new(), new());
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap();
        for socket in [&waiting, &refused] {
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&silent);
        }
        let silent = silent.as_socket().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let begin = std::time::Instant::now();
        assert_eq!(reach(vec![silent, silent, silent, silent, alive]).await.unwrap(), alive);
        assert!(begin.elapsed() < metalbond::Config::default().handshake_timeout, "the dial ends then");
    }
}
