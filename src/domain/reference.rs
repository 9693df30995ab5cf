//! The reference of a booking, which people say to each other.

/// The letters of a reference, without those that are easily confused: 0 and O, 1 and I, and U.
const REFERENCE_LETTERS: [char; 31] = [
    '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L',
    'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
];

/// The reference made of six of `random`'s numbers: `HF-` and six letters, nearly a billion of
/// them.
pub fn reference_of(random: [u8; 6]) -> String {
    let letters = random.map(|number| {
        REFERENCE_LETTERS
            .iter()
            .cycle()
            .nth(usize::from(number))
            .copied()
    });
    letters
        .into_iter()
        .flatten()
        .fold(String::from("HF-"), |mut reference, letter| {
            reference.push(letter);
            reference
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_easy_to_say() {
        assert_eq!(reference_of([0, 1, 2, 30, 31, 255]), "HF-234Z29");
    }
}
