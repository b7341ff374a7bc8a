//! What follows from received messages.

use bytes::Bytes;

use super::jobs::Job;
use super::pace::Bucket;
use super::upstream::Upstream;
use super::{Close, Node, Refused};
use crate::rib::Viewer;
use crate::session::{Role, Step};
use crate::wire::Hello;
use crate::{Announcer, CloseReason, ConnId, SessionState, Vni};

impl Node {
    /// A function of its own, for decoding wants all registers: as a part of `handle_input` an UPDATE takes 15 instructions more.
    #[inline(never)]
    pub(super) fn received(&mut self, id: ConnId, bytes: &Bytes) {
        self.hold(id);
        let mut input = &bytes[..];
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.counters.bytes_in += bytes.len() as u64;
            self.received += if self.jobs.is_empty() { 0 } else { bytes.len() };
            conn.heard = self.clock.now();
            conn.timers.heard(self.clock.now(), self.clock.uptime(), conn.session.state());
        }
        while let Some(conn) = self.conns.get_mut(&id) {
            let old = conn.session.state();
            match conn.receive(&mut self.rib, &mut input) {
                Ok(None) => break,
                Ok(Some(step)) => self.step(id, old, step),
                Err(reason) => {
                    self.tell_refused(id);
                    return self.close(id, reason, Some(Close::Now));
                }
            }
        }
        self.tell_refused(id);
        self.check_limits(id);
    }

    fn step(&mut self, id: ConnId, old: SessionState, step: Step) {
        match step {
            Step::Hello(hello) => self.greeted(id, old, &hello),
            Step::Established => self.established(id, old),
            Step::Keepalive => self.keepalive(id),
            Step::Subscribe(vni) => self.peer_subscribes(id, vni),
            Step::Unsubscribe(vni) => self.peer_unsubscribes(id, vni),
            // Handled where they are read.
            Step::Update(_) | Step::Impossible | Step::Unknown => {}
        }
    }

    fn greeted(&mut self, id: ConnId, old: SessionState, hello: &Hello) {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let keepalive = self.config.keepalive_secs().min(hello.keepalive);
        if !self.is_admitted(id) {
            return self.close(id, CloseReason::NotAllowed, Some(Close::Now));
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.timers.step(now, uptime, &conn.session, keepalive);
        match conn.session.role() {
            Role::Dialler => conn.keepalives_due = 1,
            Role::Acceptor => conn.hello_due = true,
        }
        self.mark_ready(id);
        self.transition(id, old);
        self.set_conn_timer(id);
    }

    fn established(&mut self, id: ConnId, old: SessionState) {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(&hello) = conn.session.hello() else { return };
        conn.timers.step(now, uptime, &conn.session, self.config.keepalive_secs().min(hello.keepalive));
        match conn.peer {
            None => {
                let successor_of = self.departed.keys_of(conn.names.as_deref(), conn.remote);
                let origin = self.rib.add_origin(hello.is_server, successor_of);
                self.origins.set(origin, Announcer::Conn(id));
                let viewer = if hello.is_server { Viewer::Server } else { Viewer::Client(self.rib.key(origin)) };
                conn.origin = Some(origin);
                let subscriber = self.rib.add_subscriber(viewer);
                self.subscribers.set(subscriber, id);
                conn.subscriber = Some(subscriber);
                if hello.ordered {
                    // Ahead of routes, though answers to this peer are not: it takes none before.
                    conn.first_answer_due = true;
                } else {
                    conn.owe_answer(None);
                    self.rib.keep_by_table(origin);
                    conn.bucket = self.config.pacing.map(|pacing| Bucket::new(pacing, now));
                }
            }
            Some(peer) => {
                conn.upstream = Some(Upstream::new(self.rib.wanted()).into());
                let subscriber = self.own.add_subscriber(Viewer::ANYBODY);
                self.own_subscribers.set(subscriber, id);
                let vnis: alloc::vec::Vec<Vni> = self.own.vnis().collect();
                for vni in vnis {
                    self.own.subscribe(subscriber, vni);
                }
                conn.subscriber = Some(subscriber);
                for stale_time in self.peers.values_mut().filter_map(|peer| peer.stale_time.as_mut()) {
                    stale_time.any_opens(now);
                }
                if let Some(peer) = self.peers.get_mut(&peer) {
                    conn.origin = Some(peer.origin);
                    peer.established_at = Some(now);
                    peer.sessions += 1;
                    if let Some(stale_time) = &mut peer.stale_time {
                        stale_time.opens(now);
                    }
                }
            }
        }
        conn.steer();
        self.mark_ready(id);
        self.transition(id, old);
        self.set_conn_timer(id);
        self.check_synced(id);
        if id.is_dialled() {
            self.set_peer_timers();
        }
    }

    fn keepalive(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(upstream) = &mut conn.upstream else {
            let unsynced = match conn.subscriber {
                Some(subscriber) if conn.session.is_ordered() => self.rib.last_unsynced(subscriber),
                _ => None,
            };
            conn.owe_answer(unsynced);
            return self.mark_ready(id);
        };
        upstream.answer();
        if upstream.goodbye.is_some_and(|number| number <= upstream.answered) {
            return self.close(id, CloseReason::Shutdown, Some(Close::Drain));
        }
        self.mark_ready(id);
        self.check_synced(id);
    }

    fn peer_subscribes(&mut self, id: ConnId, vni: Vni) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        // To the servers that a node dials it tells nothing that it learned.
        if let (None, Some(subscriber)) = (conn.peer, conn.subscriber) {
            if let Some(permit) = &conn.permit
                && let Err(why) = permit.subscribe(vni)
            {
                conn.counters.refused_subscriptions += 1;
                if !conn.session.is_ordered() && conn.refused_vnis.len() < self.config.limits.vnis_per_peer {
                    conn.refused_vnis.insert(vni);
                }
                return conn.refuse(Refused::Subscription(vni), why);
            }
            self.rib.subscribe(subscriber, vni);
            self.mark_ready(id);
        }
    }

    fn peer_unsubscribes(&mut self, id: ConnId, vni: Vni) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let was_refused = conn.refused_vnis.remove(&vni);
        if let (None, Some(subscriber), Some(origin)) = (conn.peer, conn.subscriber, conn.origin)
            && (self.rib.unsubscribe(subscriber, vni) || was_refused)
        {
            // The reference does so, and clients of its production fork rely on it.
            if !conn.session.is_ordered() && self.rib.take_table(origin, vni) {
                self.jobs.push_back(Job::Withdraw { origin });
            }
            self.mark_ready(id);
        }
    }
}
