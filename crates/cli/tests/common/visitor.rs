//! A visitor of the privacy centre without a browser: what goes over the wire, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What the centre answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The place of a centre, and who looks at it.
pub struct Visitor {
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// `/FOLDER`.
    pub folder: String,
    /// `/FOLDER/enter?token=TOKEN`.
    pub way_in: String,
    cookie: Option<String>,
}

impl Visitor {
    pub fn new(address: &str) -> Self {
        let address = address.trim().strip_prefix("http://").unwrap();
        let (host, path) = address.split_once('/').unwrap();
        let (folder, _) = path.split_once('/').unwrap();
        Self {
            host: host.to_owned(),
            folder: format!("/{folder}"),
            way_in: format!("/{path}"),
            cookie: None,
        }
    }

    /// Uses the address up.
    pub fn enter(&mut self) {
        let entered = self.get(&self.way_in.clone());
        assert_eq!(entered.code, 303, "{entered:?}");
        let cookie = entered.header("set-cookie").unwrap();
        self.cookie = cookie.split(';').next().map(str::to_owned);
    }

    /// Somebody who did not come in.
    pub fn stranger(&self) -> Self {
        Self {
            cookie: None,
            host: self.host.clone(),
            folder: self.folder.clone(),
            way_in: self.way_in.clone(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_as(&self.host, path, "")
    }

    /// Asks for another host, with more headers.
    pub fn get_as(&self, host: &str, path: &str, headers: &str) -> Answer {
        self.ask(
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}"),
            "",
        )
    }

    pub fn page(&self, name: &str) -> Answer {
        self.get(&format!("{}/{name}", self.folder))
    }

    /// Sends a form of the page `on` to `to`.
    pub fn send(&self, on: &str, to: &str, form: &str) -> Answer {
        let page = self.page(on).body;
        let proof = page.split("name=\"proof\" value=\"").nth(1).unwrap();
        let form = format!("proof={}&{form}", proof.split('"').next().unwrap());
        let head = format!(
            "POST {}/{to} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n",
            self.folder,
            self.host,
            form.len()
        );
        self.ask(&head, &form)
    }

    fn ask(&self, head: &str, body: &str) -> Answer {
        let address: SocketAddr = self.host.parse().unwrap();
        let mut line = TcpStream::connect(address).unwrap();
        let cookie = match &self.cookie {
            Some(cookie) => format!("Cookie: {cookie}\r\n"),
            None => String::new(),
        };
        let request = format!("{head}{cookie}Connection: close\r\n\r\n{body}");
        line.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            code: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}
