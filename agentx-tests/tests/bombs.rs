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

/// All that was said of a file that ends in one of these ways.
#[track_caller]
fn ends(directory: &Path, name: &str, text: &str, codes: &[i32]) -> String {
    let (code, said) = tested(directory, name, text);
    let shown: String = said.chars().take(2_000).collect();
    assert!(codes.contains(&code), "{name}: status {code}: {shown}");
    let said = std::fs::read(directory.join(format!("{name}.log"))).unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
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
        let said = ends(directory, name, &text, &[2, 5, 6]);
        let shown: String = said.chars().take(2_000).collect();
        assert!(said.contains(named), "{name}: no `{named}` in: {shown}");
    }
}

/// Each took gigabytes or minutes of a reader that made first and counted then.
#[test]
fn a_file_that_is_worth_more_than_it_weighs_is_told_by_name_in_bounded_memory() {
    let lab = Lab::new();
    let directory = lab.directory();
    let lines = |line: &str, count: usize| format!("$M= \\\n{}x\n", format!("{line} \\\n").repeat(count));
    let names = |name: &str, count: usize| vec![name; count].join(",");
    let ids: String = (0..60_000).map(|number| format!("@id{number} foo\n")).collect();
    let cases = [
        (
            "many-variables",
            format!("~LST({{{}}},{}) x\n", names("A", 3_000), names("1", 3_000)),
            &[5][..],
            "3000 values for 3000 variables make the text longer than 16 MiB",
        ),
        (
            "lines-inside-a-line",
            format!("{}$A=a $M\n{}\n", lines("x", 3_000), vec!["$A"; 3_000].join(" ")),
            &[5],
            "has several lines and can stand only at the end of a line",
        ),
        (
            "lines-inside-themselves",
            lines("y", 150_000).replacen("y", "a $M", 1) + "$M\n",
            &[5],
            "`M` makes this line longer than",
        ),
        (
            "lines-that-go-on",
            format!("{} \\\n", "word ".repeat(200)).repeat(4_000),
            &[5],
            "this line and those that go on with it have more than 262144 characters",
        ),
        ("braces", format!("'{}\n", "{".repeat(250_000)), &[5], "unknown directive"),
        (
            "conditional-braces",
            format!("{}\n", "{@^a ".repeat(50_000)),
            &[5],
            "this line makes the text longer than 16 MiB",
        ),
        ("config-ids", ids, &[0], "id8, id9, and 59990 more"),
        (
            "unknown-names",
            {
                let known: String =
                    (0..20_000).map(|n| format!("vrrp_script s{n} {{\n script /bin/true\n}}\n")).collect();
                let used: String = (0..20_000).map(|n| format!("t{n}\n")).collect();
                format!(
                    "{known}vrrp_instance V {{\n interface lo\n virtual_router_id 1\n track_script {{\n{used}}}\n}}\n"
                )
            },
            &[5, 6],
            "no vrrp_script t",
        ),
    ];
    for (name, text, codes, named) in cases {
        let said = ends(directory, name, &text, codes);
        let shown: String = said.chars().take(2_000).collect();
        assert!(said.contains(named), "{name}: no `{named}` in: {shown}");
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
