use super::*;
use crate::conf::model::{Location, TrackCommand};

fn row(config: TrackerConfig, finding: Finding) -> TrackerRow {
    TrackerRow { index: 1, config, finding, runs: Default::default() }
}

fn shown<R>(table: &Table<R>, name: &str, row: &R) -> Option<Value> {
    (table.columns.iter().find(|column| column.name == name).unwrap().get)(row)
}

fn script_with(init_fail: bool) -> TrackerConfig {
    TrackerConfig::Script(TrackScript {
        location: Location::default(),
        name: "chk".to_owned(),
        command: TrackCommand::Opens("/run/flag".to_owned()),
        interval_us: 5_000_000_000,
        timeout_us: 0,
        weight: -20,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail,
    })
}

fn process_with(quorum: u32, quorum_max: Option<u32>, parameter_match: ParameterMatch) -> TrackerConfig {
    TrackerConfig::Process(TrackProcess {
        location: Location::default(),
        name: "sleeper".to_owned(),
        path: "sleep".to_owned(),
        parameters: Vec::new(),
        parameter_match,
        full_command: false,
        weight: 0,
        reverse: false,
        quorum,
        quorum_max,
        fork_delay_us: 0,
        terminate_delay_us: 0,
    })
}

#[test]
fn a_script_is_init_or_initfailed_until_it_has_found_something() {
    let result = |init_fail, finding| shown(&SCRIPT, "vrrpScriptResult", &row(script_with(init_fail), finding));
    assert_eq!(result(false, Finding::Unknown), Some(Value::Integer(1)));
    assert_eq!(result(true, Finding::Unknown), Some(Value::Integer(5)));
    for init_fail in [false, true] {
        assert_eq!(result(init_fail, Finding::Bad), Some(Value::Integer(2)));
        assert_eq!(result(init_fail, Finding::Good), Some(Value::Integer(3)));
    }
}

#[test]
fn an_interval_beyond_32_bits_of_microseconds_shows_the_most_that_fits() {
    let row = row(script_with(false), Finding::Unknown);
    assert_eq!(shown(&SCRIPT, "vrrpScriptInterval", &row), Some(Value::Integer(5000)));
    assert_eq!(shown(&SCRIPT, "vrrpScriptIntervalUsec", &row), Some(Value::Gauge32(u32::MAX)));
    assert_eq!(shown(&SCRIPT, "vrrpScriptCommand", &row), Some(Value::text("</run/flag")));
}

#[test]
fn the_ways_to_compare_parameters_are_numbered_as_the_module_says() {
    let number = |way| shown(&PROCESS, "vrrpProcessParamMatch", &row(process_with(1, None, way), Finding::Unknown));
    let ways = [ParameterMatch::None, ParameterMatch::Exact, ParameterMatch::Partial, ParameterMatch::Initial];
    assert_eq!(ways.map(number), [0, 1, 2, 3].map(|number| Some(Value::Integer(number))));
    let names = PROCESS.columns.iter().find(|column| column.id == 5).unwrap().syntax.names();
    assert_eq!(names, [(0, "none"), (1, "exact"), (2, "partial"), (3, "initial")]);
}

#[test]
fn a_quorum_is_met_by_no_fewer_and_no_more_processes_than_it_says() {
    let of = |quorum, max, finding| {
        let row = row(process_with(quorum, max, ParameterMatch::None), finding);
        [13, 14].map(|id| (PROCESS.columns.iter().find(|column| column.id == id).unwrap().get)(&row).unwrap())
    };
    let running = |count| Finding::Count { count, good: false };
    let value = |count, met| [Value::Integer(count), one_or_two(met)];
    assert_eq!(of(1, None, Finding::Unknown), value(0, false));
    assert_eq!(of(0, Some(0), Finding::Unknown), value(0, true));
    assert_eq!(of(0, Some(0), running(1)), value(1, false));
    assert_eq!(of(2, Some(5), running(1)), value(1, false));
    assert_eq!(of(2, Some(5), running(2)), value(2, true));
    assert_eq!(of(2, Some(5), running(5)), value(5, true));
    assert_eq!(of(2, Some(5), running(6)), value(6, false));
    assert_eq!(of(2, None, running(i64::MAX)), value(i32::MAX, true));
}

#[test]
fn a_number_that_does_not_fit_shows_the_nearest_that_does() {
    let file = || {
        TrackerConfig::File(TrackFile {
            location: Location::default(),
            name: "level".to_owned(),
            path: "/run/level".to_owned(),
            weight: 2,
            reverse: false,
            init: None,
        })
    };
    let result = |count| shown(&FILE, "vrrpFileResult", &row(file(), Finding::Count { count, good: true }));
    assert_eq!(result(3), Some(Value::Integer(3)));
    assert_eq!(result(i64::MAX), Some(Value::Integer(i32::MAX)));
    assert_eq!(result(i64::MIN), Some(Value::Integer(i32::MIN)));
}

#[test]
fn a_session_is_up_or_it_is_not() {
    let config = || {
        TrackerConfig::Bfd(TrackBfd {
            location: Location::default(),
            name: "peer".to_owned(),
            weight: 12,
            reverse: true,
        })
    };
    let result = |finding| shown(&BFD, "vrrpBfdResult", &row(config(), finding));
    let findings = [Finding::Unknown, Finding::Bad, Finding::Good];
    assert_eq!(findings.map(result), [0, 0, 1].map(|up| Some(Value::Integer(up))));
}
