//! Who may come in: the person who got the one-time address, on this machine, in this browser.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a secret: nobody guesses it.
const SECRET_BYTES: usize = 32;
/// Name of the cookie that holds a session.
const COOKIE_NAME: &str = "chorus_centre";

/// A random word that opens something, as hexadecimal text.
struct Secret(Zeroizing<String>);

impl Secret {
    fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill_bytes(&mut *bytes);
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(Zeroizing::new(text))
    }

    /// In constant time: how far a guess was right must not show.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// It did not ask for this address: another name may point here to read what is not its own.
    Host,
    /// It comes from another page.
    Origin,
    /// It brings no session, or an old one.
    Stranger,
}

/// The way in: one token, good once; then one session, known by a cookie; and a proof in every form.
pub(crate) struct Entry {
    /// Gone once it was used.
    token: Option<Secret>,
    session: Secret,
    proof: Secret,
    /// `127.0.0.1:PORT`.
    host: String,
}

impl Entry {
    pub fn new(host: String, rng: &mut impl CryptoRng) -> Self {
        Self {
            token: Some(Secret::draw(rng)),
            session: Secret::draw(rng),
            proof: Secret::draw(rng),
            host,
        }
    }

    /// The address that opens the centre, once.
    pub fn address(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(format!("http://{}/enter?token={}", self.host, *token.0))
    }

    /// Takes the token, and gives the cookie of the session for it. A wrong guess leaves the token as it is.
    pub fn enter(&mut self, token: &str) -> Option<String> {
        if !self.token.as_ref()?.is(token) {
            return None;
        }
        self.token = None;
        // No expiry: the cookie is gone with the browser, and the session with this process.
        Some(format!(
            "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict",
            *self.session.0
        ))
    }

    /// What every form of this session carries.
    pub fn proof(&self) -> &str {
        &self.proof.0
    }

    pub fn proves(&self, proof: &str) -> bool {
        self.proof.is(proof)
    }

    /// Refuses what does not come from a page of this centre, in a browser that came in.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Barred> {
        self.check_place(headers)?;
        let cookies = headers.get_all(COOKIE).iter();
        let known = cookies
            .filter_map(|cookie| cookie.to_str().ok())
            .flat_map(|cookie| cookie.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == COOKIE_NAME && self.session.is(value));
        if known { Ok(()) } else { Err(Barred::Stranger) }
    }

    /// The same without the session: for the way in.
    pub fn check_place(&self, headers: &HeaderMap) -> Result<(), Barred> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(HOST) != Some(&self.host) {
            return Err(Barred::Host);
        }
        let own = format!("http://{}", self.host);
        match text(ORIGIN) {
            Some(origin) if origin != own => Err(Barred::Origin),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn entry() -> Entry {
        Entry::new("127.0.0.1:7".to_owned(), &mut ChaCha20Rng::seed_from_u64(1))
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pair = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_token_opens_once_and_the_session_stays() {
        let mut entry = entry();
        let address = entry.address().unwrap();
        let token = address.rsplit('=').next().unwrap().to_owned();
        assert_eq!(entry.enter("0000"), None);
        let cookie = entry.enter(&token).unwrap();
        assert_eq!(entry.enter(&token), None);
        assert_eq!(entry.address(), None);
        let session = cookie.split(';').next().unwrap();
        let known = headers(&[(HOST, "127.0.0.1:7"), (COOKIE, session)]);
        assert_eq!(entry.check(&known), Ok(()));
        let among_others = format!("theme=dark; {session}; x=1");
        let known = headers(&[(HOST, "127.0.0.1:7"), (COOKIE, &among_others)]);
        assert_eq!(entry.check(&known), Ok(()));
    }

    #[test]
    fn other_names_other_pages_and_strangers_are_barred() {
        let mut entry = entry();
        let token = entry.address().unwrap();
        let cookie = entry.enter(token.rsplit('=').next().unwrap()).unwrap();
        let session = cookie.split(';').next().unwrap();
        let asked = |host: &str, origin: &str, cookie: &str| {
            entry.check(&headers(&[
                (HOST, host),
                (ORIGIN, origin),
                (COOKIE, cookie),
            ]))
        };
        let (host, own) = ("127.0.0.1:7", "http://127.0.0.1:7");
        assert_eq!(asked(host, own, session), Ok(()));
        assert_eq!(asked("evil.example:7", own, session), Err(Barred::Host));
        assert_eq!(
            asked(host, "http://evil.example", session),
            Err(Barred::Origin)
        );
        assert_eq!(asked(host, own, "chorus_centre=00"), Err(Barred::Stranger));
        assert_eq!(asked(host, own, "other=1"), Err(Barred::Stranger));
        assert!(entry.proves(entry.proof()) && !entry.proves("00"));
    }
}
