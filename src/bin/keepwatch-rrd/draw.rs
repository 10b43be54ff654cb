//! A picture of what is in a directory.

use std::path::Path;

use keepwatch::clock::{self, Instant};
use keepwatch::export::graph::{GraphError, GraphKind, GraphRequest};
use keepwatch::export::rrd::cached::Address;
use keepwatch::export::rrd::graphs::{self, Scene};
use keepwatch::export::rrd::layout::{Layout, Object};
use keepwatch::export::rrd::names::{self, NAMES, Names};

use crate::cached::{Client, Trouble};
use crate::librrd;

/// rrdcached gets so long to write all that it has of a picture; then the picture ends where the file does.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(2);

/// Real servers of one virtual server that are looked at.
const SERVERS_MAX: usize = 5000;

/// How often a name was taken by files of another layout.
const SUCCESSORS_MAX: u32 = 100;

/// Draws what is asked for.
pub fn picture(directory: &Path, request: &GraphRequest) -> Result<Vec<u8>, GraphError> {
    graphs::check(request)?;
    let text = std::fs::read_to_string(directory.join(NAMES))
        .map_err(|error| GraphError::NotFound(format!("there are no RRD files in {}: {error}", directory.display())))?;
    let names = Names::parse(&text);
    let request = &GraphRequest { name: resolve(&names, request)?, ..request.clone() };
    let end = clock::wall().0 / 1_000_000_000;
    let start = end.saturating_sub(request.span.as_secs());
    let mut objects = vec![Object::new(request.kind, request.name.clone())];
    if request.kind == GraphKind::Vs {
        let of = |object: &&Object| object.parts().is_some_and(|(service, _)| service == request.name);
        objects.extend(names.objects().iter().filter(of).take(SERVERS_MAX).cloned());
    }
    if let Some(address) = &names.cached {
        flush(directory, &names.layout, &objects, address);
    }
    let mut servers: Vec<(f64, Object)> = objects
        .drain(1..)
        .filter_map(|object| Some((average(directory, &names.layout, &object, "conns", (start, end))?, object)))
        .collect();
    servers.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    let servers: Vec<Object> = servers.into_iter().map(|(_, object)| object).collect();
    let locate = |path: &str| locate(directory, path);
    let weight_scale = match request.kind {
        GraphKind::Vs => {
            objects.first().map_or(1, |object| weight_scale(directory, &names.layout, object, (start, end)))
        }
        _ => 1,
    };
    let scene = Scene { layout: &names.layout, locate: &locate, servers: &servers, weight_scale };
    let picture = graphs::picture(request, &scene)?;
    librrd::draw(&picture, request, end).map_err(|error| GraphError::Failed(error.to_string()))
}

/// The whole name: a virtual server may be given without its protocol where there is one only.
fn resolve(names: &Names, request: &GraphRequest) -> Result<String, GraphError> {
    let objects = names.objects();
    let mut of_kind = objects.iter().filter(|object| object.kind == request.kind);
    if matches!(request.kind, GraphKind::Ipvs | GraphKind::Daemon) {
        let found = of_kind.next().map(|_| String::new());
        return found.ok_or_else(|| GraphError::NotFound(format!("nothing was recorded of {}", request.kind.name())));
    }
    let wanted = request.name.as_str();
    if of_kind.clone().any(|object| object.name == wanted) {
        return Ok(request.name.clone());
    }
    let plain = |object: &Object| match object.parts() {
        Some((service, server)) => format!("{},{server}", without_protocol(service)),
        None => without_protocol(&object.name).to_owned(),
    };
    let alike: Vec<&Object> = match request.kind {
        GraphKind::Vs | GraphKind::Rs => of_kind.filter(|object| plain(object) == wanted).collect(),
        GraphKind::Vrrp | GraphKind::Ipvs | GraphKind::Daemon => vec![],
    };
    match alike[..] {
        [one] => Ok(one.name.clone()),
        [] => Err(GraphError::NotFound(format!("nothing was recorded of {} {wanted}", request.kind.name()))),
        _ => {
            let names: Vec<&str> = alike.iter().map(|object| object.name.as_str()).collect();
            Err(GraphError::BadRequest(format!("{wanted} may be {}", names.join(" or "))))
        }
    }
}

fn without_protocol(name: &str) -> &str {
    ["/tcp", "/udp", "/sctp"].iter().find_map(|protocol| name.strip_suffix(protocol)).unwrap_or(name)
}

/// Where a file of the layout is now: of several the one that was written last. Any of them may have been removed.
fn locate(directory: &Path, path: &str) -> Option<String> {
    let candidates = (1..=SUCCESSORS_MAX).map(|number| directory.join(names::successor(path, number)));
    let there: Vec<_> = candidates.filter(|candidate| candidate.exists()).collect();
    let newest = match &there[..] {
        [one] => Some(one),
        _ => there.iter().max_by_key(|path| librrd::existing(path).ok().and_then(|existing| existing.last_update)),
    };
    newest.and_then(|path| path.to_str()).map(str::to_owned)
}

fn average(directory: &Path, layout: &Layout, object: &Object, ds: &str, (start, end): (u64, u64)) -> Option<f64> {
    let (path, ds) = layout.find(object, ds)?;
    librrd::average(Path::new(&locate(directory, &path)?), ds, start, end)
}

/// How many times as large weights are as numbers of servers: 1, 2, 5, 10, 20 ...
fn weight_scale(directory: &Path, layout: &Layout, object: &Object, span: (u64, u64)) -> u32 {
    let of = |ds| average(directory, layout, object, ds, span).filter(|value| *value > 0.0);
    let (Some(up), Some(weight)) = (of("rs_up"), of("weight_up")) else { return 1 };
    let ratio = weight / up;
    let steps = (0..6).flat_map(|power| [1_u32, 2, 5].map(|digit| digit * 10_u32.pow(power)));
    steps.take_while(|step| f64::from(*step) <= ratio).last().unwrap_or(1)
}

fn flush(directory: &Path, layout: &Layout, objects: &[Object], address: &str) {
    let deadline = clock::now() + FLUSH;
    let Ok(mut client) = Client::connect(&Address::parse(address), FLUSH) else { return };
    let files = objects.iter().flat_map(|object| layout.files(object));
    flush_all(&mut client, files.filter_map(|file| locate(directory, &file.path)), deadline);
}

/// Gives how many were.
fn flush_all(client: &mut Client, paths: impl Iterator<Item = String>, deadline: Instant) -> usize {
    // What it has nothing of it refuses; one that is gone or stuck answers no more questions.
    paths.take_while(|path| !matches!(client.flush(path, deadline), Err(Trouble::Gone(_)))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rrdcached_costs_a_picture_its_time_once() {
        use std::io::{BufRead, BufReader, Write};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rrdcached.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = 0;
            for _ in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                asked += 1;
                // It is slow, and not silent: each answer comes in time.
                std::thread::sleep(std::time::Duration::from_millis(20));
                let _ = stream.write_all(b"0 done\n");
            }
            asked
        });
        let mut client = Client::connect(&Address::Unix(path.to_str().unwrap().into()), FLUSH).unwrap();
        let deadline = clock::now() + std::time::Duration::from_millis(200);
        let flushed = flush_all(&mut client, (0..1000).map(|number| format!("{number}.rrd")), deadline);
        drop(client);
        assert!(flushed <= 10, "{flushed}");
        assert!(server.join().unwrap() <= flushed + 1);
    }

    #[test]
    fn a_successor_is_found_when_the_file_before_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let found = || locate(directory.path(), "x.rrd");
        assert_eq!(found(), None);
        let path = directory.path().join("x.rrd.3");
        std::fs::write(&path, "").unwrap();
        assert_eq!(found().as_deref(), path.to_str());
    }
}
