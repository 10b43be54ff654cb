//! `linkbeat_use_polling` and `linkbeat_interfaces`: interfaces whose drivers are asked once a second whether they have a
//! carrier, by MII, by ethtool, or by the flags.
//!
//! The kernel's news of such an interface count as well: it is up when both say so, and nothing is later than without
//! polling. A driver may take its time, and the kernel holds its network lock meanwhile: a thread of its own asks.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use tracing::{error, info};

use crate::conf::model::{Config, LinkbeatMethod};
use crate::netlink::route::NetEvent;
use crate::sys::linkbeat::Asker;
use crate::sys::poll::{Poller, Token};
use crate::vrrp::io::{IfIndex, Link};

/// As Keepalived.
const EVERY: Duration = Duration::from_secs(1);

/// Answers read in one turn.
const ANSWERS_PER_TURN: usize = 64;

/// Enough for a system call, and the vrrp process may lock its memory.
const STACK: usize = 128 * 1024;

#[derive(Debug, Default)]
pub struct Linkbeat {
    /// What the configuration wants to be polled, and how.
    wanted: BTreeMap<String, Option<LinkbeatMethod>>,
    /// Those of them that are there.
    polled: BTreeMap<IfIndex, Polled>,
    /// What the thread asks for is not what is to be asked for.
    changed: bool,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Polled {
    /// As the kernel told of it.
    link: Link,
    /// What its driver said last.
    lost: bool,
}

#[derive(Debug)]
struct Thread {
    orders: SyncSender<Vec<Order>>,
    answers: UnixDatagram,
}

/// An interface to be asked for again and again.
#[derive(Debug, Clone)]
struct Order {
    index: IfIndex,
    name: String,
    method: Option<LinkbeatMethod>,
}

impl Linkbeat {
    /// A configuration is in force. Links whose state is another now are returned.
    pub fn configure<'a>(&mut self, config: &Config, links: impl Iterator<Item = &'a Link>) -> Vec<Link> {
        self.wanted = wanted(config);
        self.changed = true;
        let before = std::mem::take(&mut self.polled);
        let mut news = Vec::new();
        for link in links {
            let lost = before.get(&link.index).is_some_and(|it| it.lost);
            if self.wanted.contains_key(&link.name) {
                self.polled.insert(link.index, Polled { link: link.clone(), lost });
            } else if lost {
                news.push(link.clone());
            }
        }
        news
    }

    /// What the kernel tells, with what the driver said.
    pub fn with_driver(&mut self, event: NetEvent) -> NetEvent {
        match event {
            NetEvent::Link(link) => NetEvent::Link(self.link(link)),
            NetEvent::LinkGone(index) => {
                self.changed |= self.polled.remove(&index).is_some();
                event
            }
            NetEvent::Address(_) | NetEvent::AddressGone(_) => event,
        }
    }

    fn link(&mut self, link: Link) -> Link {
        if !self.wanted.contains_key(&link.name) {
            // It had another name.
            self.changed |= self.polled.remove(&link.index).is_some();
            return link;
        }
        let before = self.polled.get(&link.index);
        self.changed |= before.is_none_or(|before| before.link.name != link.name);
        let polled = Polled { lost: before.is_some_and(|before| before.lost), link };
        let seen = polled.seen();
        self.polled.insert(seen.index, polled);
        seen
    }

    /// Gives the thread its orders, if they have changed.
    pub fn pump(&mut self, token: Token, poller: &Poller) {
        if !std::mem::take(&mut self.changed) || (self.thread.is_none() && self.polled.is_empty()) {
            return;
        }
        if self.thread.is_none() {
            match Thread::start(token, poller) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => return error!("cannot poll the state of links: {error}"),
            }
        }
        let Some(thread) = &self.thread else { return };
        let order = |(index, polled): (&IfIndex, &Polled)| {
            let name = polled.link.name.clone();
            Order { index: *index, method: self.wanted.get(&name).copied().flatten(), name }
        };
        match thread.orders.try_send(self.polled.iter().map(order).collect()) {
            Ok(()) => {}
            // A driver takes its time: the latest orders are given in a later turn.
            Err(TrySendError::Full(_)) => self.changed = true,
            Err(TrySendError::Disconnected(_)) => {
                error!("the state of links is not polled any more");
                let _ = poller.remove(&thread.answers);
                self.thread = None;
            }
        }
    }

    /// Links of which their drivers say something new.
    pub fn read(&mut self) -> Vec<Link> {
        let mut news = Vec::new();
        let Some(thread) = &self.thread else { return news };
        for _ in 0..ANSWERS_PER_TURN {
            let mut answer = [0; 5];
            let Ok(5) = thread.answers.recv(&mut answer) else { break };
            let [i0, i1, i2, i3, up] = answer;
            news.extend(hear(&mut self.polled, u32::from_ne_bytes([i0, i1, i2, i3]), up != 0));
        }
        news
    }
}

fn hear(polled: &mut BTreeMap<IfIndex, Polled>, index: IfIndex, up: bool) -> Option<Link> {
    // One that went meanwhile is nobody's.
    let polled = polled.get_mut(&index).filter(|polled| polled.lost == up)?;
    polled.lost = !up;
    info!("Linkbeat reports {} {}", polled.link.name, if up { "up" } else { "down" });
    Some(polled.seen())
}

impl Polled {
    fn seen(&self) -> Link {
        Link { running: self.link.running && !self.lost, ..self.link.clone() }
    }
}

fn wanted(config: &Config) -> BTreeMap<String, Option<LinkbeatMethod>> {
    let everywhere = config.global.linkbeat_polling;
    let mut wanted = BTreeMap::new();
    for instance in config.instances.iter().filter(|instance| everywhere || instance.use_linkbeat) {
        wanted.extend(instance.interface.clone().map(|name| (name, None)));
        if everywhere {
            wanted.extend(instance.tracked_interfaces.iter().map(|it| (it.interface.clone(), None)));
        }
    }
    if everywhere {
        let tracked = config.sync_groups.iter().flat_map(|group| &group.tracked_interfaces);
        wanted.extend(tracked.map(|it| (it.interface.clone(), None)));
    }
    wanted.extend(config.global.linkbeat.iter().map(|it| (it.interface.clone(), it.method)));
    wanted
}

impl Thread {
    fn start(token: Token, poller: &Poller) -> io::Result<Thread> {
        let (answers, theirs) = UnixDatagram::pair()?;
        answers.set_nonblocking(true)?;
        poller.add(&answers, token, false)?;
        let asker = Asker::open()?;
        let (orders, ordered) = mpsc::sync_channel(1);
        let work = move || ask(&asker, &ordered, &theirs);
        std::thread::Builder::new().name("linkbeat".to_owned()).stack_size(STACK).spawn(work)?;
        Ok(Thread { orders, answers })
    }
}

/// The thread. It ends when nobody listens any more.
fn ask(asker: &Asker, orders: &Receiver<Vec<Order>>, answers: &UnixDatagram) {
    let mut all: Vec<(Order, Option<bool>)> = Vec::new();
    loop {
        let next = if all.is_empty() {
            orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            orders.recv_timeout(EVERY)
        };
        match next {
            Ok(orders) => all = orders.into_iter().map(|order| (order, None)).collect(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for (order, told) in &mut all {
            let up = carrier(order.method, &|method| match method {
                LinkbeatMethod::Mii => asker.mii(&order.name),
                LinkbeatMethod::Ethtool => asker.ethtool(&order.name),
                LinkbeatMethod::Ioctl => asker.running(&order.name),
            });
            if told.replace(up) == Some(up) {
                continue;
            }
            let [i0, i1, i2, i3] = order.index.to_ne_bytes();
            if answers.send(&[i0, i1, i2, i3, u8::from(up)]).is_err() {
                return;
            }
        }
    }
}

/// The method that was asked for, and then the others, until one is supported. One that supports none of them is as the
/// kernel tells; so is one that is gone.
fn carrier(wanted: Option<LinkbeatMethod>, asked: &dyn Fn(LinkbeatMethod) -> io::Result<bool>) -> bool {
    let others = [LinkbeatMethod::Mii, LinkbeatMethod::Ethtool, LinkbeatMethod::Ioctl];
    let others = others.into_iter().filter(|method| Some(*method) != wanted);
    wanted.into_iter().chain(others).find_map(|method| asked(method).ok()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::LinkbeatInterface;

    fn link(index: IfIndex, name: &str, running: bool) -> Link {
        let mac = Some([2, 0, 0, 0, 0, 1]);
        Link {
            index,
            name: name.into(),
            admin_up: true,
            running,
            loopback: false,
            multicast: true,
            mac,
            mtu: 1500,
            vrf: None,
        }
    }

    fn config(names: &[&str]) -> Config {
        let mut config = Config::default();
        let each = |name: &&str| LinkbeatInterface { interface: (*name).to_owned(), method: None };
        config.global.linkbeat = names.iter().map(each).collect();
        config
    }

    fn heard(linkbeat: &mut Linkbeat, index: IfIndex, up: bool) -> Option<bool> {
        hear(&mut linkbeat.polled, index, up).map(|link| link.running)
    }

    fn told(linkbeat: &mut Linkbeat, link: Link) -> bool {
        match linkbeat.with_driver(NetEvent::Link(link)) {
            NetEvent::Link(link) => link.running,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_interface_runs_when_the_kernel_and_its_driver_say_so() {
        let mut linkbeat = Linkbeat::default();
        assert_eq!(linkbeat.configure(&config(&["eth1"]), [link(2, "eth1", true)].iter()), []);
        assert_eq!(heard(&mut linkbeat, 2, true), None, "that is nothing new");
        assert_eq!(heard(&mut linkbeat, 2, false), Some(false));
        assert!(!told(&mut linkbeat, link(2, "eth1", true)), "the kernel has not noticed");
        assert!(told(&mut linkbeat, link(3, "eth2", true)), "nobody asks for this one");
        assert_eq!(heard(&mut linkbeat, 3, false), None);
        assert!(!told(&mut linkbeat, link(2, "eth1", false)));
        assert_eq!(heard(&mut linkbeat, 2, true), Some(false), "now the kernel says that it does not");
        assert!(told(&mut linkbeat, link(2, "eth1", true)));
    }

    #[test]
    fn one_that_is_not_polled_any_more_is_as_the_kernel_says() {
        let mut linkbeat = Linkbeat::default();
        let both = [link(2, "eth1", true), link(3, "eth2", true)];
        assert_eq!(linkbeat.configure(&config(&["eth1", "eth2"]), both.iter()), []);
        heard(&mut linkbeat, 2, false);
        heard(&mut linkbeat, 3, false);
        assert_eq!(linkbeat.configure(&config(&["eth2"]), both.iter()), [link(2, "eth1", true)]);
        assert!(!told(&mut linkbeat, link(3, "eth2", true)), "and the other is as it was");
        assert!(told(&mut linkbeat, link(3, "eth9", true)), "it has another name");
        assert!(told(&mut linkbeat, link(3, "eth2", true)), "and again: its driver is asked anew");
    }

    #[test]
    fn the_method_of_the_file_comes_first_and_then_those_that_are_supported() {
        use LinkbeatMethod::{Ethtool, Ioctl, Mii};
        let refused = || Err(io::ErrorKind::Unsupported.into());
        let no_mii = |method| match method {
            Mii => refused(),
            Ethtool => Ok(false),
            Ioctl => Ok(true),
        };
        assert!(!carrier(None, &no_mii));
        assert!(!carrier(Some(Mii), &no_mii));
        assert!(carrier(Some(Ioctl), &no_mii));
        assert!(carrier(None, &|method| if method == Ioctl { Ok(true) } else { refused() }));
        assert!(carrier(None, &|_| refused()), "the kernel's word stands");
    }

    #[test]
    fn a_thread_asks_drivers() {
        let poller = Poller::new().unwrap();
        let mut linkbeat = Linkbeat::default();
        linkbeat.configure(&config(&["lo"]), [link(1, "lo", true)].iter());
        linkbeat.pump(9, &poller);
        let thread = linkbeat.thread.as_ref().expect("there is something to ask for");
        thread.answers.set_nonblocking(false).unwrap();
        thread.answers.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0; 5];
        assert_eq!(thread.answers.recv(&mut answer).unwrap(), 5);
        let [i0, i1, i2, i3, up] = answer;
        assert_eq!((u32::from_ne_bytes([i0, i1, i2, i3]), up), (1, 1));
    }
}
