//! Small files that want to be large ones, and large ones that are nothing: `keepwatchd -t` ends with an error that names what it
//! was, in half a gigabyte of memory.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentx_tests::daemon::Program;
use agentx_tests::net::Lab;
use agentx_tests::process::Process;

/// Address space of the process, KiB: what it maps of libraries is a tenth of it.
const MEMORY_KIB: u32 = 768 << 10;

/// Exit code, and what was said, shortened.
#[track_caller]
fn tested(directory: &Path, name: &str, text: &str) -> (i32, String) {
    let file = directory.join(name);
    std::fs::write(&file, text).unwrap();
    let program = Program::Keepwatch.path();
    let mut command = Command::new("sh");
    let line = format!("ulimit -v {MEMORY_KIB} && exec {} -t -f {}", program.display(), file.display());
    command.arg("-c").arg(line);
    let mut process = Process::spawn(name, command, &directory.join(format!("{name}.log")));
    let code = process.exit_code(Duration::from_secs(300));
    let said = process.log();
    (code, said.chars().take(100_000).collect())
}

fn numbers(count: u32) -> String {
    (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn a_file_that_wants_to_grow_without_end_is_refused_by_name_in_bounded_memory() {
    let lab = Lab::new();
    let directory = lab.directory();
    let doubling: String = (0..40).map(|n| format!("$A{}=${{A{n}}}${{A{n}}}\n", n + 1)).collect();
    let cases = [
        ("steps", "~SEQ(A, 1, 1000000000) $X=1\n".to_owned(), "more than 100,000 values"),
        (
            "nested-sequences",
            "~SEQ(A, 1, 1000) ~SEQ(B, 1, 1000) ~SEQ(C, 1, 1000) vrrp_script V${A}_${B}_${C} { }\n".to_owned(),
            "longer than 16 MiB",
        ),
        (
            "nested-lists",
            format!("~LST(A, {0}) ~LST(B, {0}) ~LST(C, {0}) foo${{A}}${{B}}${{C}}\n", numbers(1000)),
            "longer than 16 MiB",
        ),
        (
            "doubling",
            format!("$A0=xxxxxxxxxx\n{doubling}global_defs {{\n router_id ${{A31}}\n}}\n"),
            "makes this line longer than",
        ),
        ("own-value", "$A=${A}\nglobal_defs {\n router_id ${A}\n}\n".to_owned(), "`A` is defined by itself"),
        ("own-file", "include own-file\n".to_owned(), "includes itself"),
        ("endless-line", "x".repeat(100_000_000), "this line has 100000000 octets"),
        ("open-braces", "{".repeat(1_000_000), "this line has 1000000 octets"),
        ("open-brace-lines", "{\n".repeat(1_000_000), "`{` opens no block here"),
        ("close-brace-lines", "}\n".repeat(1_000_000), "more than 10000 mistakes"),
        ("open-blocks", "vrrp_instance V {\n".repeat(200_000), "never closed"),
        ("unknown-words", "virtual_routr_id 5\n".repeat(200_000), "more than 10000 mistakes"),
    ];
    for (name, text, named) in cases {
        let (code, said) = tested(directory, name, &text);
        let shown: String = said.chars().take(2_000).collect();
        assert!(matches!(code, 2 | 5 | 6), "{name}: status {code}: {shown}");
        assert!(said.contains(named) || tail(directory, name).contains(named), "{name}: no `{named}` in: {shown}");
    }
}

/// The end of what was said: mistakes are told in the order of their places.
fn tail(directory: &Path, name: &str) -> String {
    let said = std::fs::read(directory.join(format!("{name}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&said[said.len().saturating_sub(20_000)..]).into_owned()
}

#[test]
fn files_that_include_the_next_one_twice_end_at_ten_thousand_and_a_thousand_files_are_read() {
    let lab = Lab::new();
    let directory = lab.directory();
    for number in 0..40 {
        let next = number + 1;
        std::fs::write(directory.join(format!("n{number}")), format!("include n{next}\ninclude n{next}\n")).unwrap();
    }
    std::fs::write(directory.join("n40"), "").unwrap();
    let (code, said) = tested(directory, "twice", "include n0\n");
    let shown: String = said.chars().take(2_000).collect();
    assert_eq!(code, 5, "{shown}");
    assert!(
        tail(directory, "twice").contains("more than 10000 in all") || said.contains("more than 10000 in all"),
        "{shown}"
    );

    std::fs::create_dir_all(directory.join("many")).unwrap();
    for number in 0..1_000 {
        std::fs::write(directory.join(format!("many/{number}.conf")), format!("# {number}\n")).unwrap();
    }
    let (code, said) = tested(directory, "thousand", "include many/*.conf\nglobal_defs {\n router_id r\n}\n");
    assert_eq!((code, said.as_str()), (0, ""));
}
