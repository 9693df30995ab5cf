//! No file imports another that, over any number of steps, imports it back.
//!
//! What counts is the file that a name is from, however many re-exports lead there; and a re-export
//! is an import too. Tests within a file may use whatever is around it.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{absolute, code_of, module_of, read_tree, tree};

/// Re-exports lead to re-exports at most so often.
const HOPS_MAX: usize = 8;

#[test]
fn files_do_not_import_each_other_in_circles() {
    let files = read_tree(&["src"]);
    let found = circles(&files);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_reported() {
    let circles_of = |files: &[(&str, &str)]| {
        let files: Vec<_> = files
            .iter()
            .map(|(file, source)| ((*file).to_owned(), (*source).to_owned()))
            .collect();
        circles(&files)
    };
    let here_and_back = [
        ("src/a.rs", "use crate::b::B;"),
        ("src/b.rs", "fn f(a: crate::a::A) {}"),
    ];
    assert_eq!(
        circles_of(&here_and_back),
        ["src/a.rs -> src/b.rs -> src/a.rs"]
    );
    let through_a_third = [
        ("src/a.rs", "use crate::b;\nfn f() { b::g() }"),
        ("src/b.rs", "use crate::{c::C};"),
        ("src/c.rs", "use super::a as first;\nfn f() { first::h() }"),
    ];
    assert_eq!(
        circles_of(&through_a_third),
        ["src/a.rs -> src/b.rs -> src/c.rs -> src/a.rs"]
    );
    let parent_and_child = [
        ("src/a/mod.rs", "mod b;\nstruct A;\nfn f() { b::g() }"),
        ("src/a/b.rs", "use super::A;"),
    ];
    assert_eq!(circles_of(&parent_and_child).len(), 1);
    let through_a_signpost = [
        ("src/a/mod.rs", "mod b;\nmod c;\npub use b::B;"),
        ("src/a/b.rs", "use super::c::C;"),
        ("src/a/c.rs", "use super::B;"),
    ];
    assert_eq!(
        circles_of(&through_a_signpost),
        ["src/a/b.rs -> src/a/c.rs -> src/a/b.rs"]
    );

    let of_a_reexport = [
        ("src/a/mod.rs", "mod b;\npub use b::B;\nstruct A;"),
        ("src/a/b.rs", "use super::A;"),
    ];
    assert_eq!(circles_of(&of_a_reexport).len(), 1);

    let straight = [
        ("src/a/mod.rs", "mod b;\nmod c;\nmod d;\npub use b::B;"),
        ("src/a/b.rs", "use super::c;\nfn f() { c::g() }"),
        ("src/a/c.rs", "use super::d::D as E;\n// use super::b::B;"),
        ("src/a/d.rs", "struct D;"),
        (
            "src/d.rs",
            "use crate::a::B;\n#[cfg(test)]\nmod tests { use crate::e::E; }",
        ),
        (
            "src/e.rs",
            "use crate::d::D;\nconst D: &str = \"crate::e\";",
        ),
    ];
    assert_eq!(circles_of(&straight), Vec::<String>::new());
}

/// The shortest way from each file back to itself; each circle once, from its first file.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let files = CrateFiles::read(files);
    let imports: BTreeMap<&str, BTreeSet<&str>> = files
        .0
        .iter()
        .map(|file| (file.name, files.imports(file)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in imports.keys() {
        let Some(circle) = way_back(&imports, file) else {
            continue;
        };
        if seen.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
            found.push([&circle[..], &[*file]].concat().join(" -> "));
        }
    }
    found
}

/// The files of the shortest circle through this one, if there is any.
fn way_back<'a>(
    imports: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    start: &'a str,
) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in &imports[way[way.len() - 1]] {
                if *next == start {
                    return Some(way);
                }
                if seen.insert(*next) {
                    longer.push([&way[..], &[*next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

type Path = Vec<String>;

/// A leaf of a `use` declaration.
struct Use {
    path: Path,
    name: String,
}

/// A file: its module, what it declares and imports, and the paths that its code names besides.
struct CrateFile<'a> {
    name: &'a str,
    module: Path,
    children: Vec<String>,
    uses: Vec<Use>,
    paths: Vec<Path>,
}

struct CrateFiles<'a>(Vec<CrateFile<'a>>);

impl<'a> CrateFile<'a> {
    fn read(name: &'a str, source: &str) -> Self {
        let code = code_of(source);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap();
        let mut module = module_of(name);
        module.retain(|part| part != "lib" && part != "main");
        let words: Vec<_> = code.split_whitespace().collect();
        let children = words
            .windows(2)
            .filter(|pair| pair[0] == "mod")
            .filter_map(|pair| pair[1].strip_suffix(';').map(str::to_owned));
        let (uses, body) = uses(code);
        Self {
            name,
            module,
            children: children.collect(),
            uses,
            paths: named_paths(&body),
        }
    }

    /// What a path of this file stands for, from the root of the crate; nothing if it is another
    /// crate's or goes into what the file has defined itself.
    fn target(&self, path: &[String]) -> Option<Path> {
        let (head, rest) = path.split_first()?;
        if ["crate", "holdfast", "super", "self"].contains(&head.as_str()) {
            return Some(absolute(&self.module, path));
        }
        if self.children.contains(head) {
            return Some([&self.module[..], path].concat());
        }
        let import = self.uses.iter().find(|import| import.name == *head)?;
        if import.path[0] == *head {
            return None;
        }
        let base = self.target(&import.path)?;
        Some([&base[..], rest].concat())
    }
}

impl<'a> CrateFiles<'a> {
    fn read(files: &'a [(String, String)]) -> Self {
        Self(
            files
                .iter()
                .map(|(name, source)| CrateFile::read(name, source))
                .collect(),
        )
    }

    /// The files that this one's names are from.
    fn imports(&self, file: &CrateFile<'a>) -> BTreeSet<&'a str> {
        let imported = file.uses.iter().map(|import| &import.path);
        // A module that is imported as a whole counts where something of it is named.
        let items = imported.filter(|path| !self.is_module(file, path));
        items
            .chain(&file.paths)
            .filter_map(|path| self.source(&file.target(path)?, 0))
            .filter(|source| *source != file.name)
            .collect()
    }

    fn is_module(&self, file: &CrateFile<'a>, path: &[String]) -> bool {
        file.target(path)
            .is_some_and(|path| self.0.iter().any(|file| file.module == path))
    }

    /// The file that defines what this path from the root stands for.
    fn source(&self, path: &[String], hops: usize) -> Option<&'a str> {
        let modules = (0..=path.len()).rev();
        let (file, item) = modules.into_iter().find_map(|length| {
            let file = self.0.iter().find(|file| file.module == path[..length])?;
            Some((file, path.get(length)))
        })?;
        let signpost = item.and_then(|item| file.uses.iter().find(|import| import.name == *item));
        match signpost.and_then(|import| file.target(&import.path)) {
            Some(next) if hops < HOPS_MAX => self.source(&next, hops + 1),
            _ => Some(file.name),
        }
    }
}

/// The leaves of all `use` declarations, and the code without them.
fn uses(code: &str) -> (Vec<Use>, String) {
    let mut uses = Vec::new();
    let mut body = String::new();
    let mut rest = code;
    while let Some(start) = find_word(rest, "use ") {
        let (before, declaration) = rest.split_at(start);
        let (declaration, after) = declaration.split_once(';').unwrap();
        body.push_str(before);
        let renamed = declaration["use ".len()..].replace(" as ", "::@");
        for mut path in tree(&renamed) {
            path.pop_if(|last| last == "self");
            let alias = path.pop_if(|last| last.starts_with('@'));
            let name = alias.as_ref().or(path.last()).unwrap();
            uses.push(Use {
                name: name.trim_start_matches('@').to_owned(),
                path,
            });
        }
        rest = after;
    }
    (uses, body + rest)
}

/// Every path of two names or more.
fn named_paths(code: &str) -> Vec<Path> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices("::")
        .filter_map(|(at, _)| {
            let head = code[..at].trim_end_matches(is_name);
            let begins = head.len() < at && !head.ends_with("::");
            begins.then(|| tree(&code[head.len()..]).concat())
        })
        .collect()
}

fn find_word(code: &str, word: &str) -> Option<usize> {
    let mut starts = code.match_indices(word).map(|(start, _)| start);
    starts.find(|start| {
        !code[..*start].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}
