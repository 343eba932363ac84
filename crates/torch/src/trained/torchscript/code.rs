use std::collections::BTreeSet;

use super::ModuleError;

/// Bytes of source text, at most.
const MOST_CODE: usize = 256 << 10;
/// Functions, at most.
const MOST_FUNCTIONS: usize = 64;

/// Brackets within brackets, and blocks within blocks, at most: libtorch reads and compiles by recursion, on a stack.
const DEEPEST: usize = 64;
/// Bytes of one statement, at most: a chain of operators is a recursion too.
const LONGEST: usize = 2_000;
/// Signs before a value, at most, as in `- - x`.
const MOST_SIGNS: usize = 4;

/// What a module may call: arithmetic, comparisons, shapes, indexing, activations, reductions, products and losses.
const OPERATORS: [&str; 108] = [
    "__and__",
    "__is__",
    "__isnot__",
    "__not__",
    "__or__",
    "abs",
    "add",
    "addmm",
    "alias",
    "all",
    "amax",
    "amin",
    "any",
    "append",
    "arange",
    "argmax",
    "baddbmm",
    "binary_cross_entropy_with_logits",
    "bitwise_and",
    "bitwise_not",
    "bmm",
    "cat",
    "clamp",
    "clamp_max",
    "clamp_min",
    "contiguous",
    "cosine_similarity",
    "cumsum",
    "detach",
    "dim",
    "div",
    "dot",
    "einsum",
    "elu",
    "embedding",
    "eq",
    "exp",
    "expand",
    "expand_as",
    "flatten",
    "flip",
    "full_like",
    "gather",
    "ge",
    "gelu",
    "gt",
    "index",
    "index_select",
    "layer_norm",
    "le",
    "leaky_relu",
    "len",
    "linear",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logsigmoid",
    "logsumexp",
    "lt",
    "masked_fill",
    "matmul",
    "max",
    "mean",
    "min",
    "minimum",
    "maximum",
    "mm",
    "mul",
    "mv",
    "narrow",
    "ne",
    "neg",
    "norm",
    "ones_like",
    "permute",
    "pow",
    "prod",
    "reciprocal",
    "relu",
    "reshape",
    "rsqrt",
    "rsub",
    "select",
    "selu",
    "sigmoid",
    "silu",
    "size",
    "slice",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "sub",
    "sum",
    "t",
    "tanh",
    "transpose",
    "tril",
    "triu",
    "unsqueeze",
    "view",
    "where",
    "zeros_like",
];

/// What may be called by a name without a dot.
const BARE: [&str; 6] = [
    "annotate",
    "bool",
    "float",
    "int",
    "unchecked_cast",
    "uninitialized",
];

/// Words that no module may use: loops would have no bound, the others reach beyond the module.
const REFUSED: [&str; 16] = [
    "for", "while", "import", "from", "with", "lambda", "global", "try", "exec", "eval", "fork",
    "print", "open", "getattr", "async", "yield",
];

#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    /// A name, with what follows its dots.
    Name(&'a str),
    /// A dot and a name after something that is no name.
    Attribute(&'a str),
    Sign(char),
}

/// Checks the source text of one file. `files`: the names of all of them, with dots: `__torch__.torch.nn.functional`.
pub(super) fn check(file: &str, text: &[u8], files: &BTreeSet<String>) -> Result<(), ModuleError> {
    let refuse = |problem: String| ModuleError::Code {
        file: file.to_owned(),
        problem,
    };
    let text = std::str::from_utf8(text).map_err(|_| refuse("it is no text".to_owned()))?;
    if text.len() > MOST_CODE || !text.is_ascii() {
        return Err(refuse(format!(
            "it is not ASCII of {MOST_CODE} bytes at most"
        )));
    }
    if let Some(problem) = too_deep(text) {
        return Err(refuse(problem));
    }
    let tokens = tokens(text).map_err(|sign| refuse(format!("the sign `{sign}`")))?;
    let at = |place: usize| tokens.get(place).copied();
    let mut functions = 0;
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(at);
        let is_called = at(place + 1) == Some(Token::Sign('('));
        match *token {
            Token::Sign('(') => {
                let result = matches!(before, Some(Token::Sign(')' | ']')));
                if result {
                    return Err(refuse("it calls the result of an expression".to_owned()));
                }
            }
            Token::Sign(_) => {}
            Token::Attribute(name) => {
                if is_called && name != "forward" && !OPERATORS.contains(&name) {
                    return Err(refuse(format!("the operator `{name}` is not allowed")));
                }
            }
            Token::Name(name) if REFUSED.contains(&name) => {
                return Err(refuse(format!("the word `{name}` is not allowed")));
            }
            Token::Name(name) if before == Some(Token::Name("def")) => {
                functions += 1;
                if functions > MOST_FUNCTIONS || name.contains('.') {
                    return Err(refuse(format!("more than {MOST_FUNCTIONS} functions")));
                }
            }
            Token::Name(_) if before == Some(Token::Name("class")) => {}
            Token::Name(name) => {
                if let Some(problem) = forbidden(name, is_called, &tokens, files) {
                    return Err(refuse(problem));
                }
            }
        }
    }
    Ok(())
}

/// Whether the text nests deeper than a stack bears. Brackets in words between quotes do not count.
fn too_deep(text: &str) -> Option<String> {
    let (mut open, mut length, mut signs) = (0usize, 0usize, 0usize);
    let (mut quote, mut escaped) = (None, false);
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if indent > 2 * DEEPEST && open == 0 {
            return Some(format!("more than {DEEPEST} blocks within each other"));
        }
        for sign in line.trim().bytes() {
            length += 1;
            if quote.is_some() {
                if !escaped && quote == Some(sign) {
                    quote = None;
                }
                escaped = sign == b'\\' && !escaped;
                continue;
            }
            match sign {
                b'"' | b'\'' => quote = Some(sign),
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            signs = match sign {
                b'-' | b'+' | b'~' | b'*' => signs + 1,
                b' ' => signs,
                _ => 0,
            };
            if open > DEEPEST || signs > MOST_SIGNS {
                return Some(format!(
                    "more than {DEEPEST} brackets or {MOST_SIGNS} signs on each other"
                ));
            }
        }
        if length > LONGEST {
            return Some(format!("a statement of more than {LONGEST} bytes"));
        }
        if open == 0 {
            length = 0;
        }
    }
    None
}

/// What is wrong with a name, with what follows its dots.
fn forbidden(
    name: &str,
    is_called: bool,
    tokens: &[Token<'_>],
    files: &BTreeSet<String>,
) -> Option<String> {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let last = rest.rsplit('.').next().unwrap_or_default();
    let is_fine = match first {
        "torch" => OPERATORS.contains(&rest),
        "ops" | "prim" | "aten" => name == "ops.prim.RaiseException",
        "__torch__" => {
            let is_of = |file: &String| {
                let rest = name.strip_prefix(file.as_str());
                rest.is_some_and(|rest| rest.starts_with('.'))
            };
            if name.starts_with("__torch__.torch.classes") || !files.iter().any(is_of) {
                return Some(format!("`{name}` is not in the archive"));
            }
            true
        }
        _ if is_called && rest.is_empty() => {
            let assigned = values_of(tokens, name);
            let is_alias = !assigned.is_empty() && assigned.iter().all(|value| *value);
            if !BARE.contains(&name) && !is_alias {
                return Some(format!("it calls `{name}`, which is not allowed"));
            }
            true
        }
        _ if is_called => last == "forward" || OPERATORS.contains(&last),
        _ => true,
    };
    let shown = match first {
        "torch" | "ops" | "prim" | "aten" => name,
        _ => last,
    };
    (!is_fine).then(|| format!("the operator `{shown}` is not allowed"))
}

/// Of each assignment to `name` whether it gives a function of the archive.
fn values_of(tokens: &[Token<'_>], name: &str) -> Vec<bool> {
    let values = tokens.windows(3).filter_map(|window| match window {
        [Token::Name(target), Token::Sign('='), value] if *target == name => Some(matches!(
            value,
            Token::Name(value) if value.starts_with("__torch__.")
        )),
        _ => None,
    });
    values.collect()
}

/// The tokens of a text, without comments and strings; or the sign that no module has.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, char> {
    let bytes = text.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(b'\n');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    let mut tokens = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        let start = place;
        let byte = at(place);
        place += 1;
        match byte {
            b'#' => {
                while place < bytes.len() && at(place) != b'\n' {
                    place += 1;
                }
            }
            b'"' | b'\'' => {
                // An empty string and then a string is how Python writes a text of many lines: no module has one.
                while place < bytes.len() && at(place) != byte {
                    if at(place) == b'\\' {
                        place += 1;
                    }
                    if at(place) == b'\n' {
                        return Err('\n');
                    }
                    place += 1;
                }
                place += 1;
                tokens.push(Token::Sign('"'));
            }
            b' ' | b'\n' => {}
            _ if is_name(byte) => {
                while is_name(at(place)) && place < bytes.len() {
                    place += 1;
                }
                let word = text.get(start..place).unwrap_or_default();
                if byte.is_ascii_digit() {
                    tokens.push(Token::Sign('0'));
                } else if let Some(name) = word.strip_prefix('.') {
                    tokens.push(Token::Attribute(
                        name.rsplit('.').next().unwrap_or_default(),
                    ));
                } else {
                    tokens.push(Token::Name(word));
                }
            }
            b'(' | b')' | b'[' | b']' | b',' | b':' | b'=' | b'-' | b'>' | b'{' | b'}' => {
                tokens.push(Token::Sign(byte as char));
            }
            _ => return Err(byte as char),
        }
    }
    Ok(tokens)
}
