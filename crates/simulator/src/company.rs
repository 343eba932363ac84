//! Several processes that simulate one federation together. Each knows the task, the data and the model, learns its share of a
//! round's clients, and adds up with the others; what comes out has the bits of one process.

use chorus_protocol::Digest;
use thiserror::Error;

/// The processes of a simulation, of which this is one. All calls come from the thread that drives the simulation.
pub trait Company: Sync {
    /// Which one this is, from 0; process 0 speaks and writes for all.
    fn rank(&self) -> usize;

    /// How many they are.
    fn size(&self) -> usize;

    /// The machine that this one is on.
    fn place(&self) -> String;

    /// Adds up, position by position, what all of them hold, and gives each the sums. Waits for the others: every process has to call
    /// it, with as many numbers.
    fn sum(&self, numbers: &mut [i64]);
}

/// One process by itself.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Company for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn place(&self) -> String {
        "this machine".to_owned()
    }

    fn sum(&self, _numbers: &mut [i64]) {}
}

/// Why all processes end, as the first of those that had to says it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{sentence}")]
pub struct Farewell {
    /// The exit code of all of them.
    pub code: u8,
    /// What happened, and where.
    pub sentence: String,
}

impl Farewell {
    /// With the exit code of what failed.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self {
            code: 1,
            sentence: sentence.into(),
        }
    }
}

/// What each process says before they add anything up: 0 when it goes on, else its exit code and one, so that nobody waits for who
/// will not come; and the digest of what it is about to do.
const SAID: usize = 5;

impl dyn Company + '_ {
    /// Whether this process speaks and writes for all.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Goes on if every process does and is about to do the same, which `deed` is the digest of. Where one is about to do something
    /// else than process 0, all end with what it says of itself.
    ///
    /// # Errors
    /// When one ends, or does something else.
    pub fn agree(
        &self,
        deed: Digest,
        otherwise: impl FnOnce() -> Farewell,
    ) -> Result<(), Farewell> {
        if self.size() == 1 {
            return Ok(());
        }
        let (words, _) = deed.0.as_chunks::<8>();
        let mut said = [0; SAID];
        for (said, word) in said.iter_mut().skip(1).zip(words) {
            *said = i64::from_le_bytes(*word);
        }
        let all = self.heard(&said);
        if all.iter().all(|other| *other == said) {
            return Ok(());
        }
        let differs = |first: &[i64; SAID]| first[0] == 0 && *first != said;
        let differs = all.first().is_some_and(differs);
        Err(self.farewell(differs.then(otherwise)))
    }

    /// The last that a process says. All are done when each of them is, and else end with the first that went wrong.
    ///
    /// # Errors
    /// When one of them was not done.
    pub fn part(&self, own: Result<(), Farewell>) -> Result<(), Farewell> {
        if self.size() == 1 {
            return own;
        }
        let code = own.as_ref().err().map_or(0, |farewell| farewell.code);
        let mut said = [0; SAID];
        said[0] = i64::from(code) + 1;
        let all = self.heard(&said);
        if all.iter().all(|other| other[0] == 1) {
            return Ok(());
        }
        let early = || Farewell::failed("it was done before the others: give all the same command");
        let is_early = code == 0 && all.iter().any(|other| other[0] == 0);
        Err(self.farewell(own.err().or_else(|| is_early.then(early))))
    }

    /// Adds up numbers when all go on with the same `deed`.
    pub(crate) fn add_up(
        &self,
        deed: Digest,
        numbers: &mut [i64],
        otherwise: &str,
    ) -> Result<(), Farewell> {
        self.agree(deed, || Farewell::failed(otherwise))?;
        self.sum(numbers);
        Ok(())
    }

    /// Whether it is so on any process.
    ///
    /// # Errors
    /// When one ends.
    pub fn any(&self, own: bool) -> Result<bool, Farewell> {
        let mut count = [i64::from(own)];
        self.add_up(Digest::of(b"any"), &mut count, ANOTHER_COMMAND)?;
        Ok(count != [0])
    }

    /// What process 0 has.
    ///
    /// # Errors
    /// When one ends.
    pub fn of_first(&self, own: Vec<u8>) -> Result<Vec<u8>, Farewell> {
        self.agree(Digest::of(b"of first"), || {
            Farewell::failed(ANOTHER_COMMAND)
        })?;
        Ok(self.told(0, own))
    }

    /// What every process says.
    fn heard(&self, own: &[i64; SAID]) -> Vec<[i64; SAID]> {
        let mut all = vec![0; SAID * self.size()];
        let slots = all.chunks_exact_mut(SAID);
        for slot in slots.skip(self.rank()).take(1) {
            slot.copy_from_slice(own);
        }
        self.sum(&mut all);
        all.as_chunks::<SAID>().0.to_vec()
    }

    /// What the first process has to say of those that have something to say.
    fn farewell(&self, own: Option<Farewell>) -> Farewell {
        let mut codes = vec![0; self.size()];
        if let (Some(code), Some(own)) = (codes.get_mut(self.rank()), &own) {
            *code = i64::from(own.code);
        }
        self.sum(&mut codes);
        let speaker = codes.iter().position(|code| *code != 0).unwrap_or(0);
        let code = codes.get(speaker).and_then(|code| u8::try_from(*code).ok());
        let sentence = own.map(|own| match self.is_first() {
            true => own.sentence,
            false => {
                let (rank, place) = (self.rank(), self.place());
                format!("process {rank} on {place}: {}", own.sentence)
            }
        });
        let sentence = self.told(speaker, sentence.unwrap_or_default().into_bytes());
        Farewell {
            code: code.unwrap_or(1),
            sentence: String::from_utf8_lossy(&sentence).into_owned(),
        }
    }

    /// The bytes of one process, on all of them.
    fn told(&self, by: usize, own: Vec<u8>) -> Vec<u8> {
        let own = if self.rank() == by { own } else { Vec::new() };
        let mut length = [own.len() as i64];
        self.sum(&mut length);
        let length = length[0] as usize;
        let mut words = vec![0; length.div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(own.chunks(8)) {
            let mut whole = [0; 8];
            for (to, from) in whole.iter_mut().zip(bytes) {
                *to = *from;
            }
            *word = i64::from_le_bytes(whole);
        }
        self.sum(&mut words);
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(length).collect()
    }
}

/// Of a process whose model is not that of process 0, though task, data and options are.
pub(crate) const ANOTHER_MODEL: &str = "it came to another model than process 0: take machines with the same kind of processor, and the same build of the command";

const ANOTHER_COMMAND: &str =
    "it does something else than process 0: give all the same command and the same files";
