//! Who may come in: the person who got the one-time address, on this machine, in this browser.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a secret: nobody guesses it.
const SECRET_BYTES: usize = 32;
/// Bytes of the folder that all pages are in.
const FOLDER_BYTES: usize = 16;
/// How the page that asks and what it asks for go together (Fetch Metadata).
const SITE: &str = "sec-fetch-site";
/// Name of the cookie that holds a session.
const COOKIE_NAME: &str = "chorus_centre";

/// A random word that opens something, as hexadecimal text.
struct Secret(Zeroizing<String>);

impl Secret {
    fn draw<const BYTES: usize>(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
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

/// The way in: a folder that nobody else knows; one token, good once; then one session, known by a cookie; and a proof in every
/// form.
///
/// A browser sends cookies to every port of a host. Only the path keeps this one from other servers on this machine.
pub(crate) struct Entry {
    folder: Secret,
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
            folder: Secret::draw::<FOLDER_BYTES>(rng),
            token: Some(Secret::draw::<SECRET_BYTES>(rng)),
            session: Secret::draw::<SECRET_BYTES>(rng),
            proof: Secret::draw::<SECRET_BYTES>(rng),
            host,
        }
    }

    /// The rest of a path that lies in the folder of the pages.
    pub fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        let path = path.strip_prefix('/')?;
        let (folder, _) = path.split_once('/')?;
        let rest = path.get(folder.len()..)?;
        self.folder.is(folder).then_some(rest)
    }

    /// The address that opens the centre, once.
    pub fn address(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        let (host, folder) = (&self.host, &*self.folder.0);
        Some(format!("http://{host}/{folder}/enter?token={}", *token.0))
    }

    /// Takes the token, and gives the cookie of the session for it. A wrong guess leaves the token as it is.
    pub fn enter(&mut self, token: &str) -> Option<String> {
        if !self.token.as_ref()?.is(token) {
            return None;
        }
        self.token = None;
        Some(self.cookie(COOKIE_NAME, &self.session.0))
    }

    /// A cookie for the pages alone. No expiry: it is gone with the browser, and the session with this process.
    pub fn cookie(&self, name: &str, value: &str) -> String {
        let folder = &*self.folder.0;
        format!("{name}={value}; Path=/{folder}/; HttpOnly; SameSite=Strict")
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
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text(HOST.as_str()) != Some(&self.host) {
            return Err(Barred::Host);
        }
        // Another port is the same site, and yet another page.
        if !matches!(text(SITE), None | Some("same-origin" | "none")) {
            return Err(Barred::Origin);
        }
        let own = format!("http://{}", self.host);
        match text(ORIGIN.as_str()) {
            // "null": pages that tell nobody where they are do not tell this one either. Their forms carry the proof.
            Some(origin) if origin != own && origin != "null" => Err(Barred::Origin),
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
        assert_eq!(asked(host, "null", session), Ok(()));
        assert_eq!(asked("evil.example:7", own, session), Err(Barred::Host));
        assert_eq!(
            asked(host, "http://evil.example", session),
            Err(Barred::Origin)
        );
        assert_eq!(asked(host, own, "chorus_centre=00"), Err(Barred::Stranger));
        assert_eq!(asked(host, own, "other=1"), Err(Barred::Stranger));
        assert!(entry.proves(entry.proof()) && !entry.proves("00"));
        let from = |site: &str| {
            let site = (HeaderName::from_static(SITE), site);
            entry.check(&headers(&[(HOST, host), (COOKIE, session), site]))
        };
        assert_eq!((from("same-origin"), from("none")), (Ok(()), Ok(())));
        for site in ["same-site", "cross-site"] {
            assert_eq!(from(site), Err(Barred::Origin), "{site}");
        }
    }

    #[test]
    fn pages_lie_in_a_folder_that_only_the_address_names() {
        let entry = entry();
        let address = entry.address().unwrap();
        let path = address.strip_prefix("http://127.0.0.1:7").unwrap();
        let folder = path.split('/').nth(1).unwrap();
        assert_eq!(folder.len(), 2 * FOLDER_BYTES);
        let inside = entry.within(path).unwrap();
        assert!(inside.starts_with("/enter?token="), "{inside}");
        assert_eq!(entry.within(&format!("/{folder}/")), Some("/"));
        let less = &folder[1..];
        let elsewhere = ["", "/", "/data", "//data", &format!("/{folder}"), folder];
        let elsewhere = elsewhere.into_iter().map(str::to_owned);
        for path in elsewhere.chain([format!("/{less}/"), format!("//{folder}/")]) {
            assert_eq!(entry.within(&path), None, "{path}");
        }
        let cookie = entry.cookie("name", "value");
        assert!(cookie.contains(&format!("; Path=/{folder}/; ")), "{cookie}");
    }
}
