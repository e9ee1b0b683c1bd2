//! The scanner against tables of calls that were seen in scripts, and against getopt's invariants.

use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;
use crate::command::tables::{Maker, Tool};

fn ask(line: &str) -> Request {
    ask_as(Maker::UtilLinux, line, Order::Permuted)
}

fn ask_as(kind: Maker, line: &str, order: Order) -> Request {
    let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let tool = Tool::named(&argv[0]).unwrap();
    read(tool, tool.flavour(kind).unwrap(), &argv, order)
}

fn operands(line: &str) -> Vec<usize> {
    match ask(line) {
        Request::Act(act) => act.operands,
        Request::HandOver(why) => panic!("{line}: {why:?}"),
    }
}

#[test]
fn the_operands_of_real_scripts_are_found() {
    for (line, places) in [
        ("swapon /swapfile", vec![1]),
        ("swapon -p 5 /f", vec![3]),
        ("swapon -p0 /f", vec![2]),
        ("swapon -fp 5 /f", vec![3]),
        ("swapon /f -p 100", vec![1]),
        ("swapon -d /f -p 2020", vec![2]),
        ("swapon --priority=10 /f", vec![2]),
        ("swapon --prio 10 /f", vec![3]),
        ("swapon -o pri=10 /f", vec![3]),
        ("swapon --options pri=5 /f", vec![2, 3]),
        ("swapon --discard=once /f", vec![2]),
        ("swapon --discard once /f", vec![2, 3]),
        ("swapon -donce /f", vec![2]),
        ("swapon -v -- -p 5", vec![3, 4]),
        ("swapon -p -1 /f", vec![3]),
        ("swapon a b c", vec![1, 2, 3]),
        ("swapon -", vec![1]),
        ("swapoff -v /f", vec![2]),
        ("mkswap /f 1024", vec![1]),
        ("mkswap -L swap -f /f", vec![4]),
        ("mkswap -U clear /f", vec![3]),
        ("mkswap -v1 /f", vec![2]),
        ("mkswap --file --size 4M /f", vec![4]),
        ("mkswap -F -s 4M /f", vec![4]),
    ] {
        assert_eq!(operands(line), places, "{line}");
    }
}

#[test]
fn listings_help_and_bad_usage_are_the_real_tools() {
    for line in [
        "swapon -s",
        "swapon --show",
        "swapon --show=NAME --noheadings",
        "swapon --show /f",
        "swapon /f --show",
        "swapon --sh",
        "swapon -V",
        "swapon --version",
        "swapon -h /f",
        "swapon -vs /f",
        "swapon -sx",
        "swapoff --help",
        "mkswap -V /f",
    ] {
        assert_eq!(ask(line), Request::HandOver(Why::Informs), "{line}");
    }
    for line in [
        "swapon --bogus /f",
        "swapon -x /f",
        "swapon /f -p",
        "swapon -p five /f",
        "swapon -p 99999 /f",
        "swapon -dnever /f",
        "swapon --all=1",
        "swapon -e /f",
        "swapon --ver /f",
        "mkswap a 1 2",
        "swapon --=x /f",
        "swapoff -p 5 /f",
        "swapon -a -o pri=3",
        "swapon --raw -a",
        "swapon --bytes -o pri=3 /f",
    ] {
        assert_eq!(ask(line), Request::HandOver(Why::BadUsage), "{line}");
    }
    for line in ["swapon", "swapon -v", "swapoff", "mkswap", "swapon --"] {
        assert_eq!(ask(line), Request::HandOver(Why::NothingToDo), "{line}");
    }
}

#[test]
fn fstab_tags_and_creation_are_told_apart() {
    let act = |line: &str| match ask(line) {
        Request::Act(act) => act,
        Request::HandOver(why) => panic!("{line}: {why:?}"),
    };
    assert!(act("swapon -a -e").all);
    assert!(act("swapon -av").all && act("swapoff -a").all);
    assert!(!act("swapon -L swap").tags.is_empty() && act("swapoff -U x -L y /f").tags.len() == 2);
    assert!(act("mkswap --file /f").creates && !act("mkswap /f").creates);
}

#[test]
fn options_come_back_as_arguments_that_mean_the_same() {
    for (line, again) in [
        ("swapon --prio 10 -donce -v /f", "-p 10 -donce -v"),
        ("swapon --discard=pages --disc -fp5 /f", "-dpages -d -f -p 5"),
        ("swapon --options -o pri=3 --options=pri=4 /f", "--options -o pri=3 -o pri=4"),
    ] {
        let Request::Act(act) = ask(line) else { panic!("{line}") };
        let arguments: Vec<OsString> = act.options.iter().flat_map(Given::arguments).collect();
        assert_eq!(arguments.join(OsStr::new(" ")), OsStr::new(again));
    }
}

#[test]
fn the_long_name_of_an_option_may_take_its_value_in_another_way() {
    let Request::Act(act) = ask("swapon --options pri=5 /f") else { panic!() };
    assert_eq!(act.operands, [2, 3]);
    let Request::Act(act) = ask("swapon -o pri=5 /f") else { panic!() };
    assert_eq!(act.operands, [3]);
}

#[test]
fn a_prefix_that_only_a_newer_option_makes_ambiguous_means_the_older_one() {
    assert_eq!(operands("swapon --f /f"), [2]);
    assert_eq!(operands("mkswap --f /f"), [2]);
    assert_eq!(operands("mkswap --s 1 /f"), [3]);
    assert_eq!(operands("swapon --a /f"), [2]);
    assert_eq!(operands("swapon --fs /t /f"), [3]);
    assert_eq!(operands("mkswap --si 1M /f"), [3]);
    assert_eq!(ask("swapon --ver /f"), Request::HandOver(Why::BadUsage));
    assert_eq!(ask("mkswap --l /f"), Request::HandOver(Why::BadUsage));
}

#[test]
fn the_tool_itself_says_which_newer_options_it_has() {
    let newer = |line: &str, names: &[&str]| ask(line).to(|name| Some(names.contains(&name)));
    let refused = Request::HandOver(Why::BadUsage);
    assert_eq!(newer("swapon --f /f", &["fstab"]), refused);
    assert_eq!(newer("mkswap --f /f", &["file"]), refused);
    assert_eq!(newer("swapon --a", &["fstab"]), ask("swapon --a"));
    assert_eq!(newer("swapon -T /t -a", &["fstab"]), ask("swapon -T /t -a"));
    assert_eq!(newer("swapon -T /t -a", &[]), refused);
    assert_eq!(newer("mkswap --size 1M /f", &["file"]), refused);
    assert_eq!(ask("swapon --f -T /t /f").to(|_| None), ask("swapon --f -T /t /f"));
    assert_eq!(newer("swapon --fixpgsz /f", &["fstab"]), ask("swapon --fixpgsz /f"));
}

#[test]
fn toybox_takes_one_operand() {
    assert!(matches!(ask_as(Maker::Toybox, "swapon /f", Order::Permuted), Request::Act(_)));
    for line in ["swapon /f /g", "swapoff /f /g", "mkswap /f 1024"] {
        assert_eq!(ask_as(Maker::Toybox, line, Order::Permuted), Request::HandOver(Why::BadUsage));
    }
}

#[test]
fn busybox_knows_no_long_options() {
    assert_eq!(ask_as(Maker::Busybox, "swapon --show", Order::Permuted), Request::HandOver(Why::BadUsage));
    assert_eq!(ask_as(Maker::Busybox, "mkswap -U x /f", Order::Permuted), Request::HandOver(Why::BadUsage));
    assert!(matches!(ask_as(Maker::Busybox, "swapon -e /f", Order::Permuted), Request::Act(_)));
}

#[test]
fn posixly_correct_ends_the_options_at_the_first_operand() {
    let Request::Act(act) = ask_as(Maker::UtilLinux, "swapon /f -p 5", Order::Posix) else { panic!() };
    assert_eq!(act.operands, [1, 2, 3]);
}

fn word() -> impl Strategy<Value = OsString> {
    prop_oneof![
        "-{0,2}[a-zA-Z=0-9]{0,6}".prop_map(OsString::from),
        "/[a-z /]{0,8}".prop_map(OsString::from),
        prop::sample::select(vec![
            "-p",
            "5",
            "-d",
            "--",
            "-",
            "--show",
            "-a",
            "--prio",
            "-o",
            "-L",
            "--discard=once",
            ""
        ])
        .prop_map(OsString::from),
        proptest::collection::vec(1u8..=255, 0..6).prop_map(|bytes| OsStr::from_bytes(&bytes).to_owned()),
    ]
}

proptest! {
    #[test]
    fn argv_in_is_argv_out_when_nothing_is_rewritten(argv in proptest::collection::vec(word(), 0..9)) {
        prop_assert_eq!(rewrite(&argv, &[]), argv);
    }

    #[test]
    fn only_the_named_places_change(argv in proptest::collection::vec(word(), 1..9), at in 0usize..9) {
        let new = OsString::from("/new");
        let out = rewrite(&argv, &[(at, Some(new.clone()))]);
        prop_assert_eq!(out.len(), argv.len());
        for (place, (before, after)) in argv.iter().zip(&out).enumerate() {
            prop_assert_eq!(if place == at { &new } else { before }, after);
        }
    }

    #[test]
    fn every_operand_is_an_argument_and_no_option(mut argv in proptest::collection::vec(word(), 1..9), posixly: bool) {
        let order = if posixly { Order::Posix } else { Order::Permuted };
        for tool in crate::command::tables::TOOLS {
            argv[0] = tool.name.into();
            for flavour in tool.flavours {
                let Request::Act(act) = read(tool, flavour, &argv, order) else { continue };
                let end = argv.iter().position(|argument| argument == "--").unwrap_or(argv.len());
                for place in act.operands {
                    let bytes = argv[place].as_bytes();
                    prop_assert!(posixly || place > end || bytes == b"-" || !bytes.starts_with(b"-"), "{:?}", argv);
                }
            }
        }
    }
}
