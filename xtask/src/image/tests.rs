//! The image is what the Dockerfile says, the same each time. A program that every machine has stands for the daemon.

use super::*;

fn described() -> dockerfile::Described {
    dockerfile::read(&fs::read_to_string(places::root().join("Dockerfile")).unwrap()).unwrap()
}

#[test]
fn the_image_says_of_itself_what_the_dockerfile_does() {
    let described = described();
    assert_eq!(described.user, "65532:65532");
    assert_eq!(described.port, "8080");
    assert_eq!(described.entrypoint, ["/usr/local/bin/operator"]);
    assert_eq!(described.cmd, ["serve"]);
    assert_eq!(described.healthcheck.command, ["/usr/local/bin/operator", "healthcheck"]);
    assert_eq!(described.healthcheck.interval_ns, 10_000_000_000);
    let error = dockerfile::read("FROM a\n\nFROM scratch\nVOLUME /x\n").unwrap_err().to_string();
    assert!(error.contains("VOLUME /x"), "{error}");
}

#[test]
fn the_same_files_give_the_same_image_and_each_blob_is_what_its_name_says() {
    let scratch = places::scratch("image-test").unwrap();
    let stamp = Stamp {
        seconds: 1_700_000_000,
        text: "2023-11-14T22:13:20Z".into(),
        revision: "abc".into(),
        version: "1.2.3".into(),
    };
    // A program that every machine has stands for the daemon.
    let binary = fs::canonicalize("/bin/sh").unwrap();
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let work = scratch.join(name);
        fs::create_dir(&work).unwrap();
        let out = scratch.join(format!("{name}-out"));
        made.push(make(&binary, &described(), &stamp, &work, &out).unwrap().image);
    }
    assert_eq!((&made[0].manifest, &made[0].layers), (&made[1].manifest, &made[1].layers));

    let sbom = fs::read_to_string(scratch.join("one-out/sbom.cdx.json")).unwrap();
    for part in ["pkg:cargo/tokio@", "pkg:deb/debian/libc6@", "pkg:deb/debian/ca-certificates@"] {
        assert!(sbom.contains(part), "{part} is not in the list of contents");
    }
    let blobs = scratch.join("one-out/blobs/sha256");
    let names: Vec<String> =
        fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 4, "two layers, the configuration, the manifest: {names:?}");
    for name in &names {
        let said = output(Command::new("sha256sum").arg(blobs.join(name))).unwrap();
        assert!(said.starts_with(name.as_str()), "{name}: {said}");
    }
    let app = blobs.join(made[0].layers[1].trim_start_matches("sha256:"));
    let listed = output(Command::new("tar").arg("-tvzf").arg(&app)).unwrap();
    assert!(listed.contains("-rwxr-xr-x 0/0") && listed.contains("usr/local/bin/operator"), "{listed}");
    let base = blobs.join(made[0].layers[0].trim_start_matches("sha256:"));
    let listed = output(Command::new("tar").arg("-tvzf").arg(&base)).unwrap();
    for file in ["etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/UTC", "drwxrwxrwt 0/0"] {
        assert!(listed.contains(file), "{file} not in {listed}");
    }
    fs::remove_dir_all(&scratch).unwrap();
}

#[test]
fn a_directory_that_is_no_layout_is_not_removed() {
    let scratch = places::scratch("image-keeps").unwrap();
    let stamp = Stamp { seconds: 0, text: String::new(), revision: String::new(), version: String::new() };
    let (work, out) = (scratch.join("work"), scratch.join("mine"));
    fs::create_dir(&work).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("letter"), "dear").unwrap();
    assert!(make(Path::new("/bin/sh"), &described(), &stamp, &work, &out).is_err());
    assert!(out.join("letter").is_file());
    fs::remove_dir_all(&scratch).unwrap();
}

#[test]
fn crates_are_read_from_cargos_tree() {
    let line = |text: &str| sbom::line(text).map(|(name, version, license)| format!("{name} {version} {license}"));
    assert_eq!(line("serde v1.0.1 (proc-macro)|MIT OR Apache-2.0").as_deref(), Some("serde 1.0.1 MIT OR Apache-2.0"));
    assert_eq!(line("log v0.4.1|MIT/Apache-2.0 (*)").as_deref(), Some("log 0.4.1 MIT OR Apache-2.0"));
    assert_eq!(line(""), None);
}
