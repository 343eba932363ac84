use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::ModuleError;

/// A parameter of a module: its shape, and the entry that holds its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub shape: Vec<usize>,
    /// `data/` and this.
    pub storage: String,
    pub values: usize,
    pub is_trained: bool,
}

#[derive(Clone, Debug)]
enum Value {
    Other,
    True,
    Number(usize),
    Text(Rc<str>),
    Global(Rc<str>),
    Tuple(Rc<[Value]>),
    /// A dictionary under construction is a list of keys and values.
    Dictionary(Rc<Vec<(Rc<str>, Value)>>),
    Object(Rc<Vec<(Rc<str>, Value)>>),
    Storage(Rc<str>, usize),
    Tensor(Rc<Held>),
    Mark,
}

/// Values that a pickle may make, at most.
const MOST_VALUES: usize = 100_000;
/// Modules inside of modules, at most.
const DEEPEST: usize = 16;

fn refuse(problem: impl Into<String>) -> ModuleError {
    ModuleError::Pickle(problem.into())
}

/// The parameters of a module by their names, `gate.weight`. `files`: the names of the archive's source files, with dots.
pub(super) fn parameters(
    bytes: &[u8],
    files: &BTreeSet<String>,
) -> Result<Vec<(String, Held)>, ModuleError> {
    let Value::Object(root) = read(bytes, files)? else {
        return Err(refuse("it holds no module"));
    };
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root, 0)];
    while let Some((path, object, depth)) = open.pop() {
        if depth > DEEPEST || found.len() > 1_000 || open.len() > 1_000 {
            return Err(refuse("it has too many modules"));
        }
        for (name, value) in object.iter() {
            match value {
                Value::Tensor(held) => found.push((format!("{path}{name}"), (**held).clone())),
                Value::Object(inner) => {
                    open.push((format!("{path}{name}."), Rc::clone(inner), depth + 1));
                }
                Value::Other | Value::True | Value::Number(_) | Value::Text(_) => {}
                _ => {
                    return Err(refuse(format!(
                        "the attribute `{path}{name}` is no plain value"
                    )));
                }
            }
        }
    }
    Ok(found)
}

/// Runs the few opcodes that a module needs. No code is found or called by it.
fn read(bytes: &[u8], files: &BTreeSet<String>) -> Result<Value, ModuleError> {
    let mut stack: Vec<Value> = Vec::new();
    let mut memo: HashMap<u32, Value> = HashMap::new();
    let mut rest = bytes;
    for _ in 0..MOST_VALUES {
        let [code] = take::<1>(&mut rest)?;
        match code {
            0x80 => {
                if take::<1>(&mut rest)? != [2] {
                    return Err(refuse("it has another version than 2"));
                }
            }
            b'.' => {
                return match (stack.pop(), stack.is_empty(), rest.is_empty()) {
                    (Some(value), true, true) => Ok(value),
                    _ => Err(refuse("it ends with something left over")),
                };
            }
            b'c' => {
                let (module, name) = (line(&mut rest)?, line(&mut rest)?);
                stack.push(Value::Global(global(module, name, files)?));
            }
            b'q' | b'r' => {
                let place = match code {
                    b'q' => u32::from(take::<1>(&mut rest)?[0]),
                    _ => u32::from_le_bytes(take(&mut rest)?),
                };
                memo.insert(place, top(&stack)?.clone());
            }
            b'h' | b'j' => {
                let place = match code {
                    b'h' => u32::from(take::<1>(&mut rest)?[0]),
                    _ => u32::from_le_bytes(take(&mut rest)?),
                };
                let known = memo.get(&place).cloned();
                stack.push(known.ok_or_else(|| refuse("it asks for what it never kept"))?);
            }
            b')' => stack.push(Value::Tuple(Rc::new([]))),
            b'}' => stack.push(Value::Dictionary(Rc::default())),
            b'(' => stack.push(Value::Mark),
            b'X' => {
                let length = u32::from_le_bytes(take(&mut rest)?) as usize;
                let (text, after) = rest
                    .split_at_checked(length)
                    .ok_or_else(|| refuse("it is cut off"))?;
                rest = after;
                let text = std::str::from_utf8(text).map_err(|_| refuse("a text is none"))?;
                stack.push(Value::Text(text.into()));
            }
            b'K' => stack.push(Value::Number(usize::from(take::<1>(&mut rest)?[0]))),
            b'M' => stack.push(Value::Number(usize::from(u16::from_le_bytes(take(
                &mut rest,
            )?)))),
            b'J' => {
                let number = i32::from_le_bytes(take(&mut rest)?);
                stack.push(usize::try_from(number).map_or(Value::Other, Value::Number));
            }
            b'G' => {
                take::<8>(&mut rest)?;
                stack.push(Value::Other);
            }
            b'N' | 0x89 => stack.push(Value::Other),
            0x88 => stack.push(Value::True),
            b't' => {
                let parts = marked(&mut stack)?;
                stack.push(Value::Tuple(parts.into()));
            }
            b'Q' => {
                let value = storage(&pop(&mut stack)?)?;
                stack.push(value);
            }
            b'R' => {
                let (arguments, function) = (pop(&mut stack)?, pop(&mut stack)?);
                stack.push(called(&function, &arguments)?);
            }
            0x81 => {
                let (_, class) = (pop(&mut stack)?, pop(&mut stack)?);
                match class {
                    Value::Global(name) if name.starts_with("__torch__.") => {
                        stack.push(Value::Object(Rc::default()));
                    }
                    _ => return Err(refuse("it makes something that is no module")),
                }
            }
            b'u' => {
                let parts = marked(&mut stack)?;
                let Value::Dictionary(dictionary) = pop(&mut stack)? else {
                    return Err(refuse("it fills something that is no dictionary"));
                };
                let mut entries = (*dictionary).clone();
                for pair in parts.chunks(2) {
                    let [Value::Text(key), value] = pair else {
                        return Err(refuse("a dictionary has a key that is no text"));
                    };
                    if entries.iter().any(|(other, _)| other == key) {
                        return Err(refuse(format!("it names `{key}` twice")));
                    }
                    entries.push((Rc::clone(key), value.clone()));
                }
                stack.push(Value::Dictionary(Rc::new(entries)));
            }
            b'b' => match (pop(&mut stack)?, pop(&mut stack)?) {
                (Value::Dictionary(state), Value::Object(before)) if before.is_empty() => {
                    stack.push(Value::Object(state));
                }
                _ => return Err(refuse("it builds something that is no module")),
            },
            code => return Err(refuse(format!("the opcode 0x{code:02x} is not allowed"))),
        }
    }
    Err(refuse(format!("it makes more than {MOST_VALUES} values")))
}

fn global(module: &str, name: &str, files: &BTreeSet<String>) -> Result<Rc<str>, ModuleError> {
    let known = matches!(
        (module, name),
        ("torch._utils", "_rebuild_tensor_v2")
            | ("collections", "OrderedDict")
            | ("torch", "FloatStorage")
    );
    match known || files.contains(module) {
        true => Ok(format!("{module}.{name}").into()),
        false => Err(refuse(format!(
            "the global `{module}.{name}` is not allowed"
        ))),
    }
}

/// ("storage", type, entry, device, values).
fn storage(reference: &Value) -> Result<Value, ModuleError> {
    if let Value::Tuple(parts) = reference
        && let [
            Value::Text(kind),
            Value::Global(class),
            Value::Text(entry),
            Value::Text(_),
            Value::Number(values),
        ] = &**parts
        && (&**kind, &**class) == ("storage", "torch.FloatStorage")
    {
        return Ok(Value::Storage(Rc::clone(entry), *values));
    }
    Err(refuse("a tensor holds something else than f32"))
}

fn called(function: &Value, arguments: &Value) -> Result<Value, ModuleError> {
    let (Value::Global(function), Value::Tuple(arguments)) = (function, arguments) else {
        return Err(refuse("it calls something that is no function"));
    };
    match (&**function, &**arguments) {
        ("collections.OrderedDict", []) => Ok(Value::Other),
        (
            "torch._utils._rebuild_tensor_v2",
            [
                Value::Storage(entry, values),
                Value::Number(0),
                Value::Tuple(shape),
                Value::Tuple(strides),
                is_trained,
                Value::Other,
            ],
        ) => {
            let (shape, strides) = (numbers(shape)?, numbers(strides)?);
            // libtorch believes shapes and strides: with others than these it would read what lies beyond the values.
            let mut expected = Vec::new();
            let mut length = 1usize;
            for number in shape.iter().rev() {
                expected.insert(0, length);
                length = length.saturating_mul(*number);
            }
            if strides != expected || length != *values || length == 0 {
                return Err(refuse("a tensor does not fill its storage row by row"));
            }
            Ok(Value::Tensor(Rc::new(Held {
                shape,
                storage: entry.to_string(),
                values: *values,
                is_trained: matches!(is_trained, Value::True),
            })))
        }
        (function, _) => Err(refuse(format!("it calls `{function}` in an unknown way"))),
    }
}

fn numbers(values: &[Value]) -> Result<Vec<usize>, ModuleError> {
    let number = |value: &Value| match value {
        Value::Number(number) => Ok(*number),
        _ => Err(refuse("a shape holds something else than numbers")),
    };
    values.iter().map(number).collect()
}

fn marked(stack: &mut Vec<Value>) -> Result<Vec<Value>, ModuleError> {
    let mark = stack.iter().rposition(|value| matches!(value, Value::Mark));
    let place = mark.ok_or_else(|| refuse("it lacks a mark"))?;
    let parts = stack.split_off(place + 1);
    stack.pop();
    Ok(parts)
}

fn top(stack: &[Value]) -> Result<&Value, ModuleError> {
    stack.last().ok_or_else(|| refuse("it takes from nothing"))
}

fn pop(stack: &mut Vec<Value>) -> Result<Value, ModuleError> {
    stack.pop().ok_or_else(|| refuse("it takes from nothing"))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ModuleError> {
    let (head, after) = rest
        .split_first_chunk::<N>()
        .ok_or_else(|| refuse("it is cut off"))?;
    *rest = after;
    Ok(*head)
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, ModuleError> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (head, after) = end
        .and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?)))
        .ok_or_else(|| refuse("it is cut off"))?;
    *rest = after;
    std::str::from_utf8(head).map_err(|_| refuse("a text is none"))
}
