//! What a client has to have declared before a server may ask it something. Pure.
//!
//! Source: MCP 2025-11-25 and 2026-07-28, Elicitation, Sampling and Roots, "Capabilities".

use serde_json::{Value, json};

/// A capability, and the part of it that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    capability: &'static str,
    part: Option<&'static str>,
}

impl Need {
    /// What a request of a server takes; `None` if everybody can be asked it.
    pub(super) fn of(method: &str, params: &Value) -> Option<Self> {
        let (capability, part) = match method {
            "elicitation/create" if params["mode"] == "url" => ("elicitation", Some("url")),
            "elicitation/create" => ("elicitation", Some("form")),
            "sampling/createMessage" if !params["tools"].is_null() => ("sampling", Some("tools")),
            "sampling/createMessage" => ("sampling", None),
            "roots/list" => ("roots", None),
            _ => return None,
        };
        Some(Self { capability, part })
    }

    /// What a client needs for the questions in a result.
    pub(super) fn in_answer(answer: &[u8]) -> Vec<Self> {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
            return Vec::new();
        };
        let requests = answer["result"]["inputRequests"].as_object();
        let requests = requests.into_iter().flat_map(serde_json::Map::values);
        requests
            .filter_map(|request| Self::of(request["method"].as_str()?, &request["params"]))
            .collect()
    }

    /// Whether a client with these `capabilities` has it.
    pub(super) fn is_met(self, capabilities: &Value) -> bool {
        let Some(declared) = capabilities.get(self.capability) else {
            return false;
        };
        match self.part {
            // Without any part it is the form: that is what there was first.
            Some("form") => declared.get("form").is_some() || declared.get("url").is_none(),
            Some(part) => declared.get(part).is_some(),
            None => true,
        }
    }

    /// As a client declares it.
    pub(super) fn declared(self) -> Value {
        let part = self.part.filter(|part| *part != "form");
        let parts = part.map_or_else(|| json!({}), |part| json!({part: {}}));
        json!({self.capability: parts})
    }

    /// In words.
    pub(super) const fn name(self) -> &'static str {
        self.capability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_asked_what_it_has_declared() {
        let form = json!({"mode": "form"});
        let url = json!({"mode": "url"});
        for (method, params, capabilities, is_met) in [
            ("elicitation/create", &form, json!({"elicitation": {}}), true),
            (
                "elicitation/create",
                &form,
                json!({"elicitation": {"url": {}}}),
                false,
            ),
            (
                "elicitation/create",
                &url,
                json!({"elicitation": {"url": {}}}),
                true,
            ),
            ("elicitation/create", &url, json!({"elicitation": {}}), false),
            ("elicitation/create", &json!({}), json!({}), false),
            (
                "sampling/createMessage",
                &json!({}),
                json!({"sampling": {}}),
                true,
            ),
            (
                "sampling/createMessage",
                &json!({"tools": []}),
                json!({"sampling": {}}),
                false,
            ),
            ("roots/list", &json!({}), json!({"sampling": {}}), false),
        ] {
            let need = Need::of(method, params).unwrap();
            assert_eq!(
                need.is_met(&capabilities),
                is_met,
                "{method} {params} {capabilities}"
            );
        }
        assert_eq!(Need::of("ping", &json!({})), None);
    }

    #[test]
    fn the_questions_in_a_result_are_found() {
        let answer = br#"{"id":1,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"mode":"form"}}}}}"#;
        let needs = Need::in_answer(answer);
        assert_eq!(needs.len(), 1);
        assert_eq!(needs[0].declared(), json!({"elicitation": {}}));
        assert!(Need::in_answer(br#"{"id":1,"result":{}}"#).is_empty());
    }
}
