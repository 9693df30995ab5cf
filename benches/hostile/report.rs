//! What a scenario has measured, beside what it was before the limits, and what of it is wrong.

use std::fmt::Debug;

pub(crate) struct Report {
    name: String,
    rows: Vec<Row>,
    pub(crate) wrong: Vec<String>,
}

struct Row {
    what: String,
    before: String,
    now: String,
    most: String,
}

impl Report {
    /// Says that the scenario begins.
    pub(crate) fn begin(name: &str) -> Self {
        println!("{name} …");
        Self {
            name: name.to_owned(),
            rows: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// A figure that nothing depends on.
    pub(crate) fn note(&mut self, what: &str, before: &str, now: impl Debug) {
        self.push(what, before, &now, String::new());
    }

    /// A figure that must not be above `most`.
    pub(crate) fn at_most<T: Copy + Debug + PartialOrd>(
        &mut self,
        what: &str,
        before: &str,
        now: T,
        most: T,
    ) {
        if now > most {
            self.wrong
                .push(format!("{what}: {now:.1?}, at most {most:.1?}"));
        }
        self.push(what, before, &now, format!("at most {most:.1?}"));
    }

    /// A figure that must not be below `least`.
    pub(crate) fn at_least<T: Copy + Debug + PartialOrd>(
        &mut self,
        what: &str,
        before: &str,
        now: T,
        least: T,
    ) {
        if now < least {
            self.wrong
                .push(format!("{what}: {now:.1?}, at least {least:.1?}"));
        }
        self.push(what, before, &now, format!("at least {least:.1?}"));
    }

    fn push(&mut self, what: &str, before: &str, now: &impl Debug, most: String) {
        self.rows.push(Row {
            what: what.to_owned(),
            before: before.to_owned(),
            now: format!("{now:.1?}"),
            most,
        });
    }

    /// Says what was measured.
    pub(crate) fn end(self) -> Self {
        let [now, must] = ["now", "must be"];
        println!("  {:<44} {:>14} {now:>12}  {must}", "", "before");
        for row in &self.rows {
            let Row {
                what,
                before,
                now,
                most,
            } = row;
            println!("  {what:<44} {before:>14} {now:>12}  {most}");
        }
        self
    }

    /// Whether nothing is wrong, in a line; and what is.
    pub(crate) fn complain(&self) -> bool {
        let is_well = self.wrong.is_empty();
        let all = if is_well { "all is" } else { "not all is" };
        println!("{:<44} {all} as it must be", self.name);
        for complaint in &self.wrong {
            println!("WRONG: {}: {complaint}", self.name);
        }
        is_well
    }
}
