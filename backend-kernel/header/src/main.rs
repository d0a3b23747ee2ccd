// SPDX-License-Identifier: GPL-2.0-only
//! Prints `migrate_pin_abi.h`: what `migrate-pin-kernel` and the C beside it agree on.

use migrate_pin_kernel::abi::{
    Callbacks, Layout, Prototype, CALLBACKS, CONSTANTS, DEVICE_LAYOUT, KERNEL_CONSTANTS,
    KERNEL_LAYOUTS, LAYOUTS,
};
use migrate_pin_kernel::{api, driver, stock, GLUE};

/// A declaration, its arguments broken into lines as the kernel wants it.
fn declare(prototype: &Prototype) -> String {
    let head = format!("{}{}(", prototype.returns, prototype.name);
    let mut text = head.clone();
    let mut width = head.len();
    if prototype.args.is_empty() {
        return text + "void);\n";
    }
    for (i, (name, ty)) in prototype.args.iter().enumerate() {
        let arg = format!(
            "{ty}{name}{}",
            if i + 1 == prototype.args.len() {
                ");"
            } else {
                ","
            }
        );
        if i > 0 && width + 1 + arg.len() > 80 {
            text += "\n\t\t";
            width = 16;
        } else if i > 0 {
            text.push(' ');
            width += 1;
        }
        width += arg.len();
        text += &arg;
    }
    text + "\n"
}

fn document(prototype: &Prototype) -> String {
    // What is said of safety is said to Rust.
    let lines = prototype.doc.iter().map(|line| line.trim());
    let lines: Vec<_> = lines.take_while(|line| *line != "# Safety").collect();
    let end = lines.iter().rposition(|line| !line.is_empty());
    let Some(end) = end else {
        return String::new();
    };
    match &lines[..=end] {
        [line] => format!("/* {line} */\n"),
        lines => {
            let mut text = String::from("/*\n");
            for line in lines {
                text += format!(" * {line}").trim_end();
                text.push('\n');
            }
            text + " */\n"
        }
    }
}

fn section(title: &str, prototypes: &[Prototype]) -> String {
    let mut text = format!("/* {title} */\n\n");
    for prototype in prototypes {
        text += &document(prototype);
        text += &declare(prototype);
    }
    text.push('\n');
    text
}

fn assert_layout(layout: &Layout) -> String {
    let mut text = match layout.size {
        0 => String::new(),
        size => format!("static_assert(sizeof({}) == {size});\n", layout.name),
    };
    for (field, offset, _) in layout.fields {
        text += &format!(
            "static_assert(offsetof({}, {field}) == {offset});\n",
            layout.name
        );
    }
    text
}

fn structure(layout: &Layout) -> String {
    let mut text = format!("{} {{\n", layout.name);
    for (field, _, ty) in layout.fields {
        text += &format!("\t{ty}{field};\n");
    }
    text + "};\n\n" + &assert_layout(layout) + "\n"
}

/// A callback, with what it is for in lines of less than 80 columns.
fn callback_field(callback: &Prototype) -> String {
    let mut lines = vec![String::new()];
    for word in callback.doc.iter().flat_map(|line| line.split_whitespace()) {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() > 66 {
            lines.push(word.to_string());
        } else {
            *line += if line.is_empty() { "" } else { " " };
            *line += word;
        }
    }
    let args: Vec<_> = callback
        .args
        .iter()
        .map(|(name, ty)| format!("{ty}{name}"))
        .collect();
    let mut text = match lines.as_slice() {
        [line] => format!("\t/* {line} */\n"),
        lines => format!("\t/*\n\t * {}\n\t */\n", lines.join("\n\t * ")),
    };
    text += &format!(
        "\t{}(*{})({});\n",
        callback.returns,
        callback.name,
        args.join(",\n\t\t")
    );
    text
}

/// A table of callbacks.
fn table(callbacks: &Callbacks) -> String {
    let mut text = format!("{} {{\n", callbacks.layout.name);
    for callback in callbacks.prototypes {
        text += &callback_field(callback);
    }
    text + "};\n\n" + &assert_layout(&callbacks.layout) + "\n"
}

fn main() {
    let mut text = String::from(
        "/* SPDX-License-Identifier: GPL-2.0-only */\n\
         /*\n\
         \x20* What the Rust of mm/migrate_pin and the C beside it agree on.\n\
         \x20*\n\
         \x20* Printed by migrate-pin-header; do not edit.\n\
         \x20*/\n\
         #ifndef _MM_MIGRATE_PIN_ABI_H\n\
         #define _MM_MIGRATE_PIN_ABI_H\n\n\
         #include <linux/migrate.h>\n\
         #include <linux/mm.h>\n\
         #include <linux/mmu_notifier.h>\n\n",
    );
    for (head, constants) in CONSTANTS {
        text += &format!("/* {head}. */\n");
        for (name, value) in *constants {
            text += &format!("#define MIGRATE_PIN_{name} {value:#x}\n");
        }
        text.push('\n');
    }
    for layout in LAYOUTS {
        text += &structure(layout);
    }
    text += "struct migrate_pin_device;\n\n";
    text += &table(&CALLBACKS);
    text += &structure(&DEVICE_LAYOUT);
    text += "/* For drivers in Rust. */\n\n";
    for callbacks in driver::TABLES {
        text += &table(callbacks);
    }
    text += "struct migrate_pin_memory;\nstruct migrate_pin_mirror;\nstruct xarray;\n\n";
    text += "/* What Rust takes the kernel's constants and structures to be. */\n\n";
    let drivers = driver::ERRNOS.iter().chain(driver::FAULTS);
    for (name, value) in KERNEL_CONSTANTS.iter().chain(drivers) {
        text += &format!("static_assert({name} == {value:#x});\n");
    }
    for layout in KERNEL_LAYOUTS {
        text += &assert_layout(layout);
    }
    text.push('\n');
    text += &section("Defined in glue.c, called from Rust.", GLUE);
    text += &section("Defined in driver_glue.c, called from Rust.", driver::GLUE);
    text += &section(
        "Defined in Rust: the kernel's own calls on core.",
        stock::STOCK,
    );
    text += &section("Defined in Rust: for drivers.", api::API);
    text += "#endif /* _MM_MIGRATE_PIN_ABI_H */\n";
    print!("{text}");
}
