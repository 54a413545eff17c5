//! What a proxy changes in a head, and how it is written.

use super::chars;
use super::fields::{APPENDED, DROPPED, HAS_UNDERSCORE, Line};
use super::head::{Kind, WireHead};
use super::known::{Known, KnownSet};
use super::start_line::Span;
use super::target::TargetForm;

/// A line that was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The name is not a token, or has more than 64 KiB.
    #[error("malformed field name")]
    Name,
    /// The value has a control byte, or white space at an end.
    #[error("malformed field value")]
    Value,
    /// The target has a byte that none may have.
    #[error("malformed target")]
    Target,
    /// All that was added has more than 64 KiB.
    #[error("too much appended to a head")]
    Full,
}

impl WireHead {
    /// Removes the fields of a set.
    pub fn remove(&mut self, which: KnownSet) {
        if self.present.meets(which) {
            self.mark(|line, _| which.contains(line.known));
            self.present = self.present.without(which);
        }
    }

    /// Removes the fields of this name, in any case.
    pub fn remove_named(&mut self, name: &[u8]) {
        let known = Known::of(name);
        if known == Known::Other {
            self.mark(|line, base| {
                line.known == known && line.name(base).eq_ignore_ascii_case(name)
            });
        } else {
            self.remove(known.into());
        }
    }

    /// Removes the fields that have an underscore in their names: some origins read it as `-`, so such a field can pass
    /// for one that a proxy sets.
    pub fn remove_underscored(&mut self) {
        if self.underscores {
            self.mark(|line, _| line.flags & HAS_UNDERSCORE != 0);
        }
    }

    /// Removes what is meant for the next hop only, and what no hop should see.
    ///
    /// RFC 9110, section 7.6.1: `Connection`, all that it names, and the fields that are known to belong to one hop. A
    /// `Connection` that names `Host` or `Content-Length` does not take these away: the message would become another one.
    /// On a request also `Proxy`, which CGI origins take for the environment variable; on a 1xx or 204 also
    /// `Content-Length`, which they must not have (section 8.6).
    pub fn strip_hop_by_hop(&mut self) {
        if self.has(Known::Connection) {
            self.remove_connection_options();
        }
        let mut which = KnownSet::HOP_BY_HOP;
        match self.kind {
            Kind::Request { .. } => which = which.with(KnownSet::of(&[Known::Proxy])),
            Kind::Response if matches!(self.start.status, 100..200 | 204) => {
                which = which.with(KnownSet::of(&[Known::ContentLength]));
            }
            Kind::Response => {}
        }
        self.remove(which);
    }

    /// Removes what `Connection` names.
    fn remove_connection_options(&mut self) {
        let mut named = KnownSet::EMPTY;
        let mut others = false;
        for option in self.connection_options() {
            match Known::of(option) {
                // The options that are not the names of fields.
                Known::Other => {
                    others |= !option.eq_ignore_ascii_case(b"close");
                }
                known => named.insert(known),
            }
        }
        self.remove(named.without(KnownSet::KEPT).without(Known::Connection.into()));
        if !others {
            return;
        }
        // Rare, and both are bounded: the lines of a head, and the options of `Connection`.
        for i in 0..self.table.lines.len() {
            let Some(line) = self.table.lines.get(i) else { continue };
            let named = line.known == Known::Other && !line.is_dropped() && {
                let name = line.name(self.base(line));
                self.connection_options().any(|option| option.eq_ignore_ascii_case(name))
            };
            if named && let Some(line) = self.table.lines.get_mut(i) {
                line.flags |= DROPPED;
            }
        }
    }

    fn mark(&mut self, which: impl Fn(&Line, &[u8]) -> bool) {
        let (head, extra) = (self.bytes.as_slice(), self.table.extra.as_slice());
        for line in &mut self.table.lines {
            let base = if line.flags & APPENDED == 0 { head } else { extra };
            if which(line, base) {
                line.flags |= DROPPED;
            }
        }
    }

    /// Adds a field line behind the others.
    ///
    /// # Errors
    ///
    /// An [`AppendError`] if the line would not be one field, or there is too much; the head is as it was.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), AppendError> {
        if !chars::is_token(name) {
            return Err(AppendError::Name);
        }
        if !chars::is_value(value) || chars::trim(value).len() != value.len() {
            return Err(AppendError::Value);
        }
        let extra = &mut self.table.extra;
        let at = extra.len();
        let value_at = at + name.len() + 2;
        let end = value_at + value.len() + 2;
        if end > usize::from(u16::MAX) {
            return Err(AppendError::Full);
        }
        extra.extend_from_slice(name);
        extra.extend_from_slice(b": ");
        extra.extend_from_slice(value);
        extra.extend_from_slice(b"\r\n");
        let known = Known::of(name);
        self.table.lines.push(Line {
            at: at as u16,
            name_len: name.len() as u16,
            value_at: value_at as u16,
            value_len: value.len() as u16,
            end: end as u16,
            known,
            flags: APPENDED,
        });
        self.present.insert(known);
        Ok(())
    }

    /// Puts one field line in the place of all of this name.
    ///
    /// # Errors
    ///
    /// As [`Self::append`]; then the old lines stay.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), AppendError> {
        let before = self.table.lines.len();
        self.append(name, value)?;
        let appended = self.table.lines.get(before).copied();
        self.remove_named(name);
        if let (Some(line), Some(appended)) = (self.table.lines.get_mut(before), appended) {
            *line = appended;
            self.present.insert(appended.known);
        }
        Ok(())
    }

    /// Replaces the target of a request.
    ///
    /// # Errors
    ///
    /// [`AppendError::Target`] if it has a byte that no target has, or is empty; [`AppendError::Full`].
    pub fn set_target(&mut self, target: &[u8]) -> Result<(), AppendError> {
        if target.is_empty() || !target.iter().all(|&b| super::is_target_byte(b)) {
            return Err(AppendError::Target);
        }
        let form = match target {
            [b'/', ..] => TargetForm::Origin,
            b"*" => TargetForm::Asterisk,
            _ if target.windows(3).any(|three| three == b"://") => TargetForm::Absolute,
            _ => TargetForm::Authority,
        };
        let at = self.table.extra.len();
        if at + target.len() > usize::from(u16::MAX) {
            return Err(AppendError::Full);
        }
        if let Kind::Request { .. } = self.kind {
            self.table.extra.extend_from_slice(target);
            self.start.second = Span::between(at, at + target.len());
            self.kind = Kind::Request { form, replaced: true };
        }
        Ok(())
    }

    /// Turns an absolute target into `/path?query` and its authority into `Host`; leaves all others alone.
    ///
    /// RFC 9112, section 3.2.2: a proxy "MUST generate a new Host field value based on the received request-target rather
    /// than forward the received Host field value."
    ///
    /// # Errors
    ///
    /// [`AppendError::Full`].
    pub fn make_origin_form(&mut self) -> Result<(), AppendError> {
        let Kind::Request { form: TargetForm::Absolute, .. } = self.kind else { return Ok(()) };
        let parts = self.parts();
        let Some(authority) = parts.authority.map(<[u8]>::to_vec) else { return Ok(()) };
        let mut target = parts.path.to_vec();
        if let Some(query) = parts.query {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        self.set_target(&target)?;
        self.set(b"Host", &authority)
    }

    /// Writes the first line, with our own version (RFC 9110, section 6.2: an intermediary sends its own).
    pub fn write_start(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Request { .. } => {
                out.extend_from_slice(self.method());
                out.push(b' ');
                out.extend_from_slice(self.target());
                out.extend_from_slice(b" HTTP/1.1\r\n");
            }
            Kind::Response => {
                out.extend_from_slice(b"HTTP/1.1 ");
                out.extend_from_slice(self.status_and_reason());
                // RFC 9112, section 4: the SP is sent even when the reason is empty.
                out.extend_from_slice(if self.start.end == 14 { b" \r\n" } else { b"\r\n" });
            }
        }
    }

    /// Writes the field lines that are not removed, neighbours in one run, without the empty line behind them.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        self.write_fields_but(KnownSet::EMPTY, out);
    }

    /// As [`Self::write_fields`], without the fields of a set.
    pub fn write_fields_but(&self, which: KnownSet, out: &mut Vec<u8>) {
        let mut run = Run::default();
        for line in &self.table.lines {
            if line.is_dropped() || which.contains(line.known) {
                continue;
            }
            let appended = line.flags & APPENDED != 0;
            if run.end != line.at || run.appended != appended {
                out.extend_from_slice(self.run(run));
                run = Run { at: line.at, end: line.at, appended };
            }
            run.end = line.end;
        }
        out.extend_from_slice(self.run(run));
    }

    fn run(&self, run: Run) -> &[u8] {
        let base = if run.appended { self.table.extra.as_slice() } else { &self.bytes };
        Span::between(run.at.into(), run.end.into()).of(base)
    }
}

/// Neighbouring lines.
#[derive(Clone, Copy, Default)]
struct Run {
    at: u16,
    end: u16,
    appended: bool,
}

#[cfg(test)]
mod tests;
