//! What sentences that are stored with events mean, in whatever words.

/// Each sentence that says what was done about an event, in all words that it ever had. Who words
/// one anew adds the new words to its line, and takes none out: events that were settled before
/// keep theirs. What is ignored needs no line: nothing was done, whatever the reason.
const MEANINGS: [&[&str]; 37] = [
    &["how it was paid is known"],
    &["the try to pay has failed; the buyer may try again"],
    &["failed: what it is about has never come"],
    &["the refund is on its way"],
    &["the refund has succeeded"],
    &["the refund has failed; a person decides"],
    &["the refund was made in Stripe's dashboard, and is recorded"],
    &["the refund is of an amount that its payment cannot have; a person decides"],
    &["what has gone back is known"],
    &["its refunds are looked at"],
    &["the refund had got as far before"],
    &["the payment is disputed; its money is not refunded meanwhile"],
    &["the dispute has gone on"],
    &["the dispute had got as far before"],
    &["the payment is probably fraud; a person decides whether it is refunded"],
    &["ignored: the payment is flagged already"],
    &["ignored: test and live mode do not mix"],
    &[
        "the payment came late; the seats were still free, are claimed again, and the booking is \
         confirmed",
    ],
    &["the payment is applied; the booking had been confirmed"],
    &["the payment is applied and the booking confirmed"],
    &["the money is kept as surplus, and its refund is on the way"],
    &["the money is kept as surplus; a person decides"],
    &["what Stripe says does not match what was asked for; a person decides"],
    &["the payment is recorded, but this report differs from what was asked for"],
    &["the attempt is given up; the booking had gone on without it"],
    &["the buyer has paid by a delayed method; the seats are kept"],
    &["the booking has ended unpaid and its seats are free"],
    &["the attempt is closed; the booking had gone on without it"],
    &["this payment is recorded already"],
    &["the attempt was paid before"],
    &["the booking does not wait for a payment"],
    &["the attempt does not wait for a buyer"],
    &["the attempt has a session by now"],
    &["the buyer has paid by a delayed method"],
    &["the attempt had ended before"],
    &["the refund was settled meanwhile"],
    &["deferred: what it is about is not known yet"],
];

/// Whether a stored sentence means what is said now. One that nobody has ever said means nothing.
pub(super) fn means(stored: Option<&str>, said: &str) -> bool {
    stored.is_some_and(|stored| is_same(&MEANINGS, stored, said))
}

fn is_same(meanings: &[&[&str]], stored: &str, said: &str) -> bool {
    meanings
        .iter()
        .any(|words| words.contains(&stored) && words.contains(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_keeps_its_meaning_in_other_words() {
        let meanings: [&[&str]; 2] = [&["it is paid", "the money is there"], &["it is not paid"]];

        assert!(is_same(&meanings, "it is paid", "the money is there"));
        assert!(is_same(&meanings, "it is not paid", "it is not paid"));
        assert!(!is_same(&meanings, "it is paid", "it is not paid"));
        assert!(!is_same(&meanings, "all is well", "all is well"));
    }

    #[test]
    fn no_words_mean_two_things() {
        let words = || MEANINGS.iter().flat_map(|words| words.iter());

        for one in words() {
            assert_eq!(words().filter(|other| *other == one).count(), 1, "{one}");
            assert!(means(Some(one), one), "{one}");
        }
        assert!(!means(None, "it is paid"));
    }
}
