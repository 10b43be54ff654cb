//! The questions whose answers are documents, each to its document.

use super::client::Connection;
use super::outcome::Failure;
use crate::control::{Request, Response};
use crate::report::{BfdReport, CheckersReport, EventsReport, InstanceReport, IpvsReport, Status, VrrpReport};

impl Connection {
    fn answer(&self, request: &Request) -> Result<Response, Failure> {
        self.open()?.ask(request)?.good()
    }

    pub fn status(&self) -> Result<Status, Failure> {
        match self.answer(&Request::Status)? {
            Response::Status { status } => Ok(*status),
            _ => Err(Failure::nonsense()),
        }
    }

    pub fn vrrp(&self, instance: Option<&str>) -> Result<VrrpReport, Failure> {
        match self.answer(&Request::Vrrp { instance: instance.map(str::to_owned) })? {
            Response::Vrrp { vrrp } => Ok(*vrrp),
            _ => Err(Failure::nonsense()),
        }
    }

    /// The only instance of that name.
    pub fn instance(&self, name: &str) -> Result<InstanceReport, Failure> {
        self.vrrp(Some(name))?.instances.into_iter().next().ok_or_else(Failure::nonsense)
    }

    pub fn bfd(&self, session: Option<&str>) -> Result<BfdReport, Failure> {
        match self.answer(&Request::Bfd { session: session.map(str::to_owned) })? {
            Response::Bfd { bfd } => Ok(bfd),
            _ => Err(Failure::nonsense()),
        }
    }

    pub fn ipvs(&self, service: Option<&str>) -> Result<IpvsReport, Failure> {
        match self.answer(&Request::Ipvs { service: service.map(str::to_owned) })? {
            Response::Ipvs { ipvs } => Ok(ipvs),
            _ => Err(Failure::nonsense()),
        }
    }

    pub fn checkers(&self) -> Result<CheckersReport, Failure> {
        match self.answer(&Request::Checkers)? {
            Response::Checkers { checkers } => Ok(checkers),
            _ => Err(Failure::nonsense()),
        }
    }

    pub fn events(&self, since: u64) -> Result<EventsReport, Failure> {
        match self.answer(&Request::Events { since })? {
            Response::Events { events } => Ok(events),
            _ => Err(Failure::nonsense()),
        }
    }
}
