//! What expressions are worth.

use super::*;

impl Run<'_> {
    pub(super) fn truth(&mut self, e: &Expr) -> Done<bool> {
        Ok(self.value(e)?.truth())
    }

    /// The text of an expression.
    pub fn text(&mut self, e: &Expr) -> Done<Rc<str>> {
        let v = self.value(e)?;
        Ok(v.string(&self.special(CONVFMT)))
    }

    pub(super) fn key(&mut self, index: &[Expr]) -> Done<Rc<str>> {
        if let [one] = index {
            return self.text(one);
        }
        let mut parts = Vec::new();
        for e in index {
            parts.push(self.text(e)?);
        }
        Ok(parts.join(&self.special(SUBSEP)).into())
    }

    pub(super) fn array(&mut self, place: Place) -> Done<Array> {
        match place {
            Place::Global(at) => Ok(self.global_array(at)),
            Place::Local(at) => {
                let slot = self.frames.last_mut().and_then(|f| f.get_mut(at));
                match slot {
                    Some(Slot::Array(a)) => Ok(a.clone()),
                    Some(slot @ Slot::Scalar(Value::None)) => {
                        let array = Array::default();
                        *slot = Slot::Array(array.clone());
                        Ok(array)
                    }
                    _ => failed("a parameter that is no array is used as one"),
                }
            }
        }
    }

    /// Gives a value to what an expression names.
    pub fn set(&mut self, target: &Expr, value: Value) -> Done<()> {
        match target {
            Expr::Var(at) => {
                if *at == NF {
                    self.set_nf(value.number());
                }
                self.set_global(*at, value);
            }
            Expr::Local(at) => {
                if let Some(slot) = self.frames.last_mut().and_then(|f| f.get_mut(*at)) {
                    *slot = Slot::Scalar(value);
                }
            }
            Expr::Field(index) => {
                let n = self.value(index)?.number();
                let text = value.string(&self.special(CONVFMT));
                self.set_field(n, text)?;
            }
            Expr::Element(place, index) => {
                let key = self.key(index)?;
                self.array(*place)?.borrow_mut().insert(key, value);
            }
            Expr::Group(inside) => self.set(inside, value)?,
            _ => return failed("assignment to what is no variable"),
        }
        Ok(())
    }

    /// The value of an expression.
    pub fn value(&mut self, e: &Expr) -> Done<Value> {
        Ok(match e {
            Expr::Number(n) => Value::Number(*n),
            Expr::Text(t) => Value::Text(t.clone()),
            Expr::Regex(r) => {
                self.joined();
                let re = self.regex(r)?;
                Value::Number(f64::from(re.is_match(self.record.as_bytes())))
            }
            Expr::Var(at) => {
                if *at == NF {
                    self.fields();
                }
                self.global(*at).clone()
            }
            Expr::Local(at) => match self.frames.last().and_then(|f| f.get(*at)) {
                Some(Slot::Scalar(v)) => v.clone(),
                Some(Slot::Array(_)) => return failed("an array is used as a value"),
                None => Value::None,
            },
            Expr::Field(index) => {
                let n = self.value(index)?.number();
                self.field(n)?
            }
            Expr::Element(place, index) => {
                let key = self.key(index)?;
                let array = self.array(*place)?;

                array.borrow_mut().entry(key).or_default().clone()
            }
            Expr::Assign(target, op, value) => {
                let mut value = self.value(value)?;
                if let Some(op) = op {
                    let old = self.value(target)?;
                    value = Value::Number(arithmetic(op, old.number(), value.number())?);
                }
                self.set(target, value.clone())?;
                value
            }
            Expr::Conditional(c, a, b) => {
                let chosen = if self.truth(c)? { a } else { b };
                self.value(chosen)?
            }
            Expr::And(a, b) => Value::Number(f64::from(self.truth(a)? && self.truth(b)?)),
            Expr::Or(a, b) => Value::Number(f64::from(self.truth(a)? || self.truth(b)?)),
            Expr::Not(a) => Value::Number(f64::from(!self.truth(a)?)),
            Expr::Minus(a) => Value::Number(-self.value(a)?.number()),
            Expr::Plus(a) => Value::Number(self.value(a)?.number()),
            Expr::Group(a) => self.value(a)?,
            Expr::Binary(op, a, b) => self.binary(op, a, b)?,
            Expr::Concat(a, b) => {
                let mut text = self.text(a)?.to_string();
                text.push_str(&self.text(b)?);
                Value::text(text)
            }
            Expr::Match(yes, a, b) => {
                let text = self.text(a)?;
                let re = self.pattern(b)?;
                Value::Number(f64::from(re.is_match(text.as_bytes()) == *yes))
            }
            Expr::In(index, place) => {
                let key = self.key(index)?;
                let array = self.array(*place)?;
                let there = array.borrow().contains_key(&key);
                Value::Number(f64::from(there))
            }
            Expr::Step(target, by, old) => {
                let before = self.value(target)?.number();
                self.set(target, Value::Number(before + by))?;
                Value::Number(if *old { before } else { before + by })
            }
            Expr::Builtin(name, words) => crate::awk::builtins::call(self, name, words)?,
            Expr::Call(name, words) => self.call(name, words)?,
            Expr::Getline(target, from) => self.getline(target.as_deref(), from)?,
        })
    }

    /// An expression that stands where a regular expression is wanted.
    pub fn pattern(&mut self, e: &Expr) -> Done<Rc<Posix>> {
        match e {
            Expr::Regex(r) => self.regex(r),
            e => {
                let text = self.text(e)?;
                self.regex(&text)
            }
        }
    }

    pub(super) fn binary(&mut self, op: &str, a: &Expr, b: &Expr) -> Done<Value> {
        let (a, b) = (self.value(a)?, self.value(b)?);
        if !["<", "<=", "==", "!=", ">", ">="].contains(&op) {
            return Ok(Value::Number(arithmetic(op, a.number(), b.number())?));
        }
        let order = match (a.as_numeric(), b.as_numeric()) {
            (Some(x), Some(y)) => x.partial_cmp(&y),
            _ => {
                let format = self.special(CONVFMT);
                Some(a.string(&format).cmp(&b.string(&format)))
            }
        };
        use std::cmp::Ordering::{Equal, Greater, Less};
        let holds = match op {
            "<" => order == Some(Less),
            "<=" => matches!(order, Some(Less | Equal)),
            "==" => order == Some(Equal),
            "!=" => order != Some(Equal),
            ">" => order == Some(Greater),
            _ => matches!(order, Some(Greater | Equal)),
        };
        Ok(Value::Number(f64::from(holds)))
    }

    pub(super) fn call(&mut self, name: &str, words: &[Expr]) -> Done<Value> {
        let program = self.program;
        let Some(function) = program.functions.get(name) else {
            return failed(format!("function {name} is not defined"));
        };
        if self.frames.len() > 1000 {
            return failed(format!("function {name} calls itself too often"));
        }
        if words.len() > function.parameters {
            return failed(format!(
                "function {name} is called with more arguments than it takes"
            ));
        }
        let mut frame = Vec::with_capacity(function.parameters);
        let mut untyped = Vec::new();
        for (n, w) in words.iter().enumerate() {
            frame.push(self.argument(w)?);
            if matches!(frame.last(), Some(Slot::Scalar(Value::None)))
                && matches!(w, Expr::Var(_) | Expr::Local(_))
            {
                untyped.push((n, w));
            }
        }
        frame.resize(function.parameters, Slot::Scalar(Value::None));
        self.frames.push(frame);
        let end = self.block(&function.body);
        let frame = self.frames.pop().unwrap_or_default();
        // What became an array inside is one outside.
        for (n, w) in untyped {
            if let (Some(Slot::Array(a)), Expr::Var(at)) = (frame.get(n), w) {
                self.arrays.entry(*at).or_insert_with(|| a.clone());
            } else if let (Some(Slot::Array(a)), Expr::Local(at)) = (frame.get(n), w)
                && let Some(slot) = self.frames.last_mut().and_then(|f| f.get_mut(*at))
            {
                *slot = Slot::Array(a.clone());
            }
        }
        match end {
            Ok(()) => Ok(Value::None),
            Err(Stop::Return(v)) => Ok(v),
            Err(stop) => Err(stop),
        }
    }

    pub(super) fn argument(&mut self, w: &Expr) -> Done<Slot> {
        match w {
            Expr::Local(at) => Ok(self
                .frames
                .last()
                .and_then(|f| f.get(*at))
                .cloned()
                .unwrap_or(Slot::Scalar(Value::None))),
            Expr::Var(at) if self.arrays.contains_key(at) => {
                Ok(Slot::Array(self.global_array(*at)))
            }
            w => Ok(Slot::Scalar(self.value(w)?)),
        }
    }

    /// The array that a builtin is given by name.
    pub fn array_argument(&mut self, e: Option<&Expr>) -> Done<Array> {
        match e {
            Some(Expr::Var(at)) => self.array(Place::Global(*at)),
            Some(Expr::Local(at)) => self.array(Place::Local(*at)),
            _ => failed("an array is wanted"),
        }
    }

    /// The number of elements, where a name is an array.
    pub fn array_length(&mut self, e: &Expr) -> Option<usize> {
        match e {
            Expr::Var(at) => self.arrays.get(at).map(|a| a.borrow().len()),
            Expr::Local(at) => match self.frames.last()?.get(*at)? {
                Slot::Array(a) => Some(a.borrow().len()),
                Slot::Scalar(_) => None,
            },
            _ => None,
        }
    }

    /// What separates fields now.
    pub fn separator(&self) -> Rc<str> {
        self.special(FS)
    }

    pub(super) fn getline(&mut self, target: Option<&Expr>, from: &From) -> Done<Value> {
        let record = match from {
            From::Input => match self.next_record()? {
                Some(r) => r,
                None => return Ok(Value::Number(0.0)),
            },
            From::File(e) | From::Command(e) => {
                let name = self.text(e)?;
                let rs = self.special(RS);
                let command = matches!(from, From::Command(_));
                match self.streams.read(&name, command, &rs) {
                    Ok(Some(r)) => r,
                    Ok(None) => return Ok(Value::Number(0.0)),
                    Err(_) => return Ok(Value::Number(-1.0)),
                }
            }
        };
        if matches!(from, From::Command(_)) {
            let nr = self.global(NR).number() + 1.0;
            self.set_global(NR, Value::Number(nr));
        }
        match target {
            Some(t) => self.set(t, Value::Input(record))?,
            None => self.set_record(record),
        }
        Ok(Value::Number(1.0))
    }
}

fn arithmetic(op: &str, a: f64, b: f64) -> Done<f64> {
    Ok(match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" if b == 0.0 => return failed("division by zero"),
        "/" => a / b,
        "%" if b == 0.0 => return failed("division by zero in %"),
        "%" => a % b,
        _ => a.powf(b),
    })
}
