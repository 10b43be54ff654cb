//! Who is answered when, and about which file; what stays while there is a way back.

use super::*;

/// A configuration that was read for these requests.
fn read_for(hash: u64, answers: &[u64]) -> Loading {
    let loading = ended(&postcard::to_stdvec(&Sheet { hash, ..Sheet::default() }).unwrap(), answers);
    memfd::seal(loading.file.as_fd()).unwrap();
    loading
}

fn wrong(answers: &[u64]) -> Loading {
    ended(&[COMPLAINTS, b"error: no such thing\n"].concat(), answers)
}

/// A vrrp process that is well, and says nothing.
fn vrrp_in(lab: &mut Lab) -> Seqpacket {
    let (ours, theirs) = Seqpacket::pair().unwrap();
    let process = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    lab.supervisor.children.insert(Role::Vrrp, Running::played(process, Channel::new(ours), BRIDGE + 1));
    theirs
}

fn drop_vrrp(lab: &mut Lab) {
    let mut vrrp = lab.supervisor.children.remove(&Role::Vrrp).unwrap();
    vrrp.process.kill().unwrap();
    vrrp.process.wait().unwrap();
}

#[test]
fn each_request_is_answered_about_the_file_that_was_read_for_it() {
    let mut lab = Lab::new(|_| Sheet::default());
    let _vrrp = vrrp_in(&mut lab);
    lab.told();
    assert_eq!(lab.supervisor.loaded(read_for(12, &[1, 2]), exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 2, .. }, Some(_))))));
    assert_eq!(lab.answered(), [], "it is on trial");

    // The next one waits for that, for so long.
    lab.tell(&ToSupervisor::Reload { request: 3 });
    assert!(lab.supervisor.loading.is_none() && lab.supervisor.next_reading_due().is_some());
    lab.supervisor.children.get_mut(&Role::Vrrp).unwrap().ready = 2;
    lab.tell(&ToSupervisor::Ready { config: 2 });
    assert_eq!(lab.answered(), [(vec![1, 2], true, String::new())]);
    assert_eq!(lab.supervisor.next_reading_due(), None, "there is nothing to wait for any more");

    // A mistake in its file is no matter of those who were before.
    assert_eq!(lab.supervisor.loaded(read_for(13, &[4]), exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 3, .. }, Some(_))))));
    lab.supervisor.requests = Requests::default();
    lab.supervisor.requests.accepted(3, vec![4]);
    assert_eq!(lab.supervisor.loaded(wrong(&[5]), exit::CONFIG), None);
    assert_eq!(lab.answered(), [(vec![5], false, "error: no such thing\n".to_owned())]);
    lab.supervisor.cannot_take(Role::Vrrp, 3, "the kernel refuses it");
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 4, back: true }, Some(_))))));
    assert!(matches!(&lab.answered()[..], [(of, false, why)] if *of == [4] && why.contains("the kernel refuses it")));

    // One that is stuck keeps nobody for ever, and then nobody knows of the first one.
    assert_eq!(lab.supervisor.loaded(read_for(14, &[6]), exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 5, .. }, Some(_))))));
    assert_eq!(lab.supervisor.loaded(read_for(15, &[7]), exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 6, .. }, Some(_))))));
    assert!(matches!(&lab.answered()[..], [(of, false, why)] if *of == [6] && why.contains("not every process")));
    drop_vrrp(&mut lab);
}

#[test]
fn a_safe_reload_is_busy_while_another_one_is_read_and_neither_is_told_about_the_other_s_file() {
    let mut lab = Lab::new(|_| Sheet::default());
    lab.told();
    let loading = read_for_plan(&Sheet { hash: 12, ..Sheet::default() }, Purpose::Plan { number: 1, keep: true });
    assert_eq!(lab.supervisor.loaded(loading, exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Planned { number: 1, .. }, Some(_))))));
    lab.supervisor.loading = Some(read_for(13, &[1]));
    lab.tell(&ToSupervisor::Settle { number: 1, request: Some(2) });
    assert!(matches!(&lab.answered()[..], [(of, false, why)] if *of == [2] && why.contains("somebody else reloads")));
    assert_eq!(lab.supervisor.generation, 1);
    let loading = lab.supervisor.loading.take().unwrap();
    assert_eq!(lab.supervisor.loaded(loading, exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 2, .. }, Some(_))))));
    lab.tell(&ToSupervisor::Ready { config: 2 });
    let daemon = lab.told().unwrap();
    assert_eq!((daemon.reloads.hash, daemon.reloads.rejected), (13, 0), "what was not tried has not failed");
    assert_eq!(lab.answered(), [(vec![1], true, String::new())]);

    // Nobody waits for what was asked by a bridge that is gone.
    assert_eq!(lab.supervisor.loaded(read_for(14, &[3]), exit::OK), None);
    lab.another_bridge();
    lab.supervisor.requests.bridge_started();
    lab.tell(&ToSupervisor::Ready { config: 3 });
    assert_eq!(lab.answered(), []);
}

#[test]
fn an_engine_for_which_nothing_is_left_stays_until_there_is_no_way_back() {
    let mut lab = Lab::new(|_| Sheet { wants_vrrp: true, ..Sheet::default() });
    let vrrp = vrrp_in(&mut lab);
    let mut vrrp = Channel::new(vrrp);
    reloaded(&mut lab, &Sheet { hash: 12, ..Sheet::default() });
    assert!(matches!(vrrp.receive(), Ok(Some((ToChild::Reload { config: 2, back: false }, Some(_))))));
    assert!(matches!(vrrp.receive::<ToChild>(), Ok(None)));
    lab.supervisor.children.get_mut(&Role::Vrrp).unwrap().ready = 2;
    lab.tell(&ToSupervisor::Ready { config: 2 });
    assert!(matches!(vrrp.receive(), Ok(Some((ToChild::Stop, None)))));
    lab.tell(&ToSupervisor::Ready { config: 2 });
    assert!(matches!(vrrp.receive::<ToChild>(), Ok(None)), "it is told once");
    drop_vrrp(&mut lab);
}

#[test]
fn what_the_kernel_held_otherwise_is_in_the_answer_of_the_reload_that_found_it() {
    let mut lab = Lab::new(|_| Sheet::default());
    lab.told();
    assert_eq!(lab.supervisor.loaded(read_for(12, &[1]), exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 2, .. }, Some(_))))));
    let lines = |from: u32, count: u32| (from..from + count).map(|it| format!("line {it}")).collect::<Vec<_>>();
    lab.tell(&ToSupervisor::Drift { config: 1, drift: DriftReport::of(lines(0, 1)) });
    lab.tell(&ToSupervisor::Drift { config: 2, drift: DriftReport::of(lines(1, 2)) });
    lab.tell(&ToSupervisor::Drift { config: 2, drift: DriftReport::of(lines(3, 12)) });
    lab.tell(&ToSupervisor::Ready { config: 2 });
    lab.told();
    let (_, reload) = lab.answers.pop().unwrap();
    assert_eq!((reload.drift.lines, reload.drift.more), (lines(1, 10), 4));
    reloaded(&mut lab, &Sheet { hash: 13, ..Sheet::default() });
    assert!(lab.told().unwrap().reloads.drift.is_empty(), "that was mended");
}
