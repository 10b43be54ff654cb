use serde_json::json;

use super::*;

/// A file with a misspelt word, a second definition, and a mistake behind a parameter.
const TEXT: &str = "$ID=300\nvrrp_instance A {\n    interface nowhere0\n    virtual_router_id ${ID}\n    prioritty 100\n    \
                    virtual_ipaddress {\n        192.0.2.1/24\n    }\n}\n";

fn checked(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.conf");
    std::fs::write(&path, text).unwrap();
    let mut loaded = conf::load(path.to_str().unwrap(), &conf::Options::default(), &conf::Disk, &conf::AnyHost);
    loaded.diagnostics.retain(|diagnostic| diagnostic.severity > Severity::Hint);
    loaded
}

#[test]
fn without_this_host_only_what_the_text_says_is_judged() {
    let text = "global_defs {\n smtp_server no-such-host.invalid\n enable_script_security\n script_user no-such-user\n}\n\
                vrrp_script s {\n script /no/such/script\n}\n\
                vrrp_instance A {\n interface nowhere0\n virtual_router_id 1\n track_script {\n s\n }\n\
                track_interface {\n nowhere1\n }\n virtual_ipaddress {\n 192.0.2.1/24 dev nowhere2\n }\n\
                virtual_routes {\n 198.51.100.0/24 dev nowhere3 table nowhere\n }\n}\n\
                interface_up_down_delays {\n nowhere4 1 1\n}\nlinkbeat_interfaces {\n nowhere5\n}\n\
                static_ipaddress {\n 192.0.2.2/24\n}\n";
    let loaded = checked(text);
    assert_eq!((loaded.render().as_str(), loaded.status, loaded.can_start), ("", 0, true));
    assert_eq!(loaded.config.instances.len(), 1);
}

#[test]
fn a_summary_counts_the_severities_apart() {
    let loaded = checked(TEXT);
    assert_eq!(summary(&loaded), "2 errors, 0 warnings, 0 hints; the daemon would not start");
    assert!(text(&loaded).ends_with("would not start\n"));
    assert_eq!(text(&checked("")), "", "nothing is said of a clean file");
}

#[test]
fn the_document_says_where_and_what_and_what_to_write_instead() {
    let loaded = checked(TEXT);
    let document = json::document(&loaded, "k.conf", false);
    assert_eq!(document["version"], 1);
    assert_eq!(document["summary"], json!({ "errors": 2, "warnings": 0, "hints": 0 }));
    assert_eq!((&document["exit_status"], &document["can_start"]), (&json!(5), &json!(false)));
    let range = &document["diagnostics"][0];
    assert_eq!((&range["code"], &range["severity"]), (&json!("number"), &json!("error")));
    assert_eq!(
        (&range["place"]["line"], &range["place"]["column"], &range["place"]["length"]),
        (&json!(1), &json!(5), &json!(3))
    );
    assert_eq!(range["reads"], "virtual_router_id 300");
    assert_eq!(
        (&range["related"][0]["place"]["line"], &range["related"][0]["message"]),
        (&json!(4), &json!("used here"))
    );
    let word = &document["diagnostics"][1];
    assert_eq!((&word["place"]["text"], &word["fix"]), (&json!("    prioritty 100"), &json!("priority")));
}

#[test]
fn sarif_names_a_rule_for_each_result_and_replaces_the_misspelt_word() {
    let loaded = checked(TEXT);
    let document = sarif::document(&loaded);
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().starts_with("file:///"));
        assert!(place["region"]["endColumn"].as_u64() > place["region"]["startColumn"].as_u64());
    }
    let region = json!({ "startLine": 5, "startColumn": 5, "endColumn": 14 });
    let replacement = &run["results"][1]["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert_eq!(*replacement, json!({ "deletedRegion": region, "insertedContent": { "text": "priority" } }));
    let related = &run["results"][0]["relatedLocations"][0];
    assert_eq!((&related["id"], &related["message"]["text"]), (&json!(1), &json!("used here")));
}

#[test]
fn documents_have_no_password_in_them_and_what_is_in_force_is_explained_without_it() {
    let text = "$VRRP_PASSWORD=canary1#x\nvrrp_instance A {\n interface eth0\n virtual_router_id 1\n authentication {\n \
                auth_type PASS\n auth_pass canary2 extra\n auth_pas canary3\n auth_pass ${VRRP_PASSWORD} ${NO}\n auth_pass canary4#x\n }\n \
                virtual_ipaddress {\n 192.0.2.1/24\n }\n}\n";
    let loaded = checked(text);
    assert!(loaded.diagnostics.len() > 3, "{}", loaded.render());
    let documents = [json::document(&loaded, "k.conf", false), sarif::document(&loaded)];
    for document in documents.map(|document| document.to_string()) {
        assert!(!document.contains("canary"), "{document}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.conf");
    std::fs::write(&path, text).unwrap();
    let how = conf::dump::Options::default();
    let options = conf::Options::default();
    let (_, explained) = conf::explain(path.to_str().unwrap(), &options, &conf::Disk, &conf::AnyHost, &how);
    let explained = String::from_utf8_lossy(&explained.text()).into_owned();
    assert!(explained.contains("auth_pass") && !explained.contains("canary"), "{explained}");
}

#[test]
fn of_a_line_that_nobody_can_look_at_what_is_around_the_word_is_shown() {
    let braces = "}".repeat(3000);
    let loaded = checked(&braces);
    assert!(loaded.diagnostics.len() > 1000);
    assert!(text(&loaded).len() < loaded.diagnostics.len() * 2000);
    let document = json::document(&loaded, "k.conf", false).to_string();
    assert!(document.len() < loaded.diagnostics.len() * 1000, "{}", document.len());
}

/// What SARIF 2.1.0's schema says of an object: the properties that it has to have, and those that it may have of what is written
/// here; others are refused there (`additionalProperties`).
fn has(value: &serde_json::Value, required: &[&str], allowed: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("an object: {value}"));
    for name in required {
        assert!(object.contains_key(*name), "{name} is missing in {value}");
    }
    for name in object.keys() {
        assert!(required.contains(&name.as_str()) || allowed.contains(&name.as_str()), "{name} in {value}");
    }
}

fn is_message(value: &serde_json::Value) {
    has(value, &["text"], &[]);
    assert!(!value["text"].as_str().unwrap().is_empty());
}

fn is_region(value: &serde_json::Value) {
    has(value, &["startLine", "startColumn", "endColumn"], &["snippet"]);
    let number = |name: &str| value[name].as_u64().unwrap();
    assert!(number("startLine") >= 1 && number("startColumn") >= 1, "{value}");
    assert!(number("endColumn") > number("startColumn"), "{value}");
}

fn is_location(value: &serde_json::Value) {
    has(value, &["physicalLocation"], &["id", "message"]);
    let place = &value["physicalLocation"];
    has(place, &["artifactLocation"], &["region"]);
    is_artifact(&place["artifactLocation"]);
    if let Some(region) = place.get("region") {
        is_region(region);
    }
}

/// `uri` is a reference of RFC 3986: no octets but those that it has, and `%` before two digits only.
fn is_artifact(value: &serde_json::Value) {
    has(value, &["uri"], &[]);
    let uri = value["uri"].as_str().unwrap();
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    let mut parts = path.split('%');
    let plain = |part: &str| part.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"/-._~".contains(&octet));
    assert!(!uri.is_empty() && plain(parts.next().unwrap_or_default()), "{uri}");
    for part in parts {
        let digits = part.as_bytes().get(..2).unwrap_or_default();
        assert!(digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) && plain(&part[2..]), "{uri}");
    }
}

/// Every output of this test was held against the schema itself once; this is what the schema refused if it were otherwise.
fn is_sarif(document: &serde_json::Value) -> usize {
    has(document, &["version", "runs"], &["$schema"]);
    assert_eq!(document["version"], "2.1.0");
    assert!(document["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let mut results = 0;
    for run in document["runs"].as_array().unwrap() {
        has(run, &["tool", "results"], &["columnKind", "invocations"]);
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        has(&run["tool"], &["driver"], &[]);
        has(&run["tool"]["driver"], &["name"], &["version", "semanticVersion", "rules"]);
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for (index, rule) in rules.iter().enumerate() {
            has(rule, &["id"], &["defaultConfiguration"]);
            has(&rule["defaultConfiguration"], &[], &["level"]);
            assert!(rules[..index].iter().all(|other| other["id"] != rule["id"]), "{rule} twice");
        }
        for invocation in run["invocations"].as_array().unwrap() {
            has(invocation, &["executionSuccessful"], &["exitCode"]);
        }
        for result in run["results"].as_array().unwrap() {
            results += 1;
            has(result, &["message"], &["ruleId", "ruleIndex", "level", "locations", "relatedLocations", "fixes"]);
            is_message(&result["message"]);
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()), "{result}");
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[rule]["id"], result["ruleId"]);
            result["locations"].as_array().unwrap().iter().for_each(is_location);
            for related in result["relatedLocations"].as_array().unwrap() {
                is_location(related);
                assert!(related["id"].as_u64().is_some());
                is_message(&related["message"]);
            }
            for fix in result.get("fixes").and_then(|fixes| fixes.as_array()).into_iter().flatten() {
                has(fix, &["artifactChanges"], &["description"]);
                is_message(&fix["description"]);
                for change in fix["artifactChanges"].as_array().unwrap() {
                    has(change, &["artifactLocation", "replacements"], &[]);
                    is_artifact(&change["artifactLocation"]);
                    for replacement in change["replacements"].as_array().unwrap() {
                        has(replacement, &["deletedRegion"], &["insertedContent"]);
                        is_region(&replacement["deletedRegion"]);
                        has(&replacement["insertedContent"], &["text"], &[]);
                    }
                }
            }
        }
    }
    results
}

#[test]
fn sarif_of_every_mistake_of_the_list_has_the_properties_of_its_schema_and_no_others() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/diagnostics");
    let mut results = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let loaded = conf::load(path.to_str().unwrap(), &conf::Options::default(), &conf::Disk, &conf::AnyHost);
        results += is_sarif(&sarif::document(&loaded));
    }
    assert!(results > 100, "{results}");
    let odd = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a name: 100% [odd] Ä#?.conf", &b"prioritty \xff\x07 1\n\tfoo \"open\n"[..]),
        ("empty.conf", b""),
        ("include.conf", b"include nothing.conf\n"),
    ] {
        let path = odd.path().join(name);
        std::fs::write(&path, text).unwrap();
        let loaded = conf::load(path.to_str().unwrap(), &conf::Options::default(), &conf::Disk, &conf::AnyHost);
        is_sarif(&sarif::document(&loaded));
    }
    let missing = conf::load("no/such file", &conf::Options::default(), &conf::Disk, &conf::AnyHost);
    assert_eq!(is_sarif(&sarif::document(&missing)), 1);
}
