/* run_calibration: searches for mixed precision. */
#ifndef MICA_TOOLS_CALIBRATION_SEARCH_H
#define MICA_TOOLS_CALIBRATION_SEARCH_H

#include "tools/search.h"

/* The command line. */
typedef struct calibration_search_settings {
    search_settings common;
    const char *kind, *transformer, *mix_mode, *explain, *part, *custom;
    const char *idle;     /* an option for searches that was given, or NULL */
    const char *measured; /* one for searches and --explain, or NULL */
    bool part_asymmetric;
    bool unreached;   /* out: the target was not reached */
} calibration_search_settings;

/* Rows of the option table; c: the calibration_search_settings. */
#define CALIBRATION_SEARCH_ROWS(c)                                                                                     \
    {.name = "--search", .kind = MICA_OPT_CHOICE, .choices = "False,search_threshold,search_qtable,optimal",          \
     .default_text = "False", .dest = &(c).kind,                                                                      \
     .help = "search_threshold: the best method for the model and for each tensor; search_qtable: layers to keep in float so that the outputs reach --expected_cos; optimal: the best mode of every op within --max_cost"}, \
    {.name = "--quantize_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &(c).common.qtable,              \
     .help = "output of a search or of --settings: one 'op_name MODE' row per layer; new_cali_table.txt and Search_Qtable go beside it"}, \
    {.name = "--quantize_method_list", .kind = MICA_OPT_STRING, .metavar = "METHODS", .dest = &(c).common.methods,    \
     .help = "methods that compete for the threshold of every layer (KL,MSE); without: the table of --cali_method"},  \
    SEARCH_OPTION_ROWS((c).common, "30"),                                                                             \
    {.name = "--transformer", .kind = MICA_OPT_CHOICE, .choices = "False,True", .default_text = "False",              \
     .dest = &(c).transformer, .help = "True: only products, normalizations, softmax and activations are searched"},  \
    {.name = "--cluster", .kind = MICA_OPT_FLAG, .dest = &(c).common.cluster,                                         \
     .help = "float: the worse of two clusters of layers, whatever their number"},                                    \
    {.name = "--fast", .kind = MICA_OPT_FLAG, .dest = &(c).common.fast,                                               \
     .help = "measures layers with 8 samples and checks at most twice"},                                              \
    {.name = "--max_cost", .kind = MICA_OPT_FLOAT, .metavar = "PERCENT", .default_text = "10", .dest = &(c).common.max_cost, \
     .help = "optimal: most that the model may cost above INT8; below 0 with --mix_mode 4_8 and w4a8: how much cheaper it has to be; a MAC costs 1 in INT8, 2 in F16 and BF16, 8 in F32, 0.5 in INT4, 0.75 in W4INT8"},  \
    {.name = "--max_float_macs", .kind = MICA_OPT_FLOAT, .metavar = "PERCENT", .dest = &(c).common.max_float_macs,    \
     .help = "optimal: most MACs in float, in percent of all, instead of --max_cost"},                                 \
    {.name = "--pareto", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &(c).common.pareto,                      \
     .help = "optimal: output: least noise for every cost, as CSV, or as a picture when the name ends in .png"},                                                  \
    {.name = "--part_quantize", .kind = MICA_OPT_CHOICE, .choices = "none,N_mode,H_mode,custom_mode",                  \
     .default_text = "none", .dest = &(c).part,                                                                       \
     .help = "writes --quantize_table without a search: INT8 for convolutions, products and pools (H_mode), for activations and sums, too (N_mode), or for the kinds of --custom_operator"}, \
    {.name = "--custom_operator", .kind = MICA_OPT_STRING, .metavar = "KINDS", .dest = &(c).custom,                   \
     .help = "kinds of ops that custom_mode keeps in INT8: Conv,MatMul"},                                             \
    {.name = "--part_asymmetric", .kind = MICA_OPT_FLAG, .dest = &(c).part_asymmetric,                                 \
     .help = "zero points for SiLU and GELU that feed nothing but convolutions and products, in a symmetric model"}, \
    {.name = "--explain", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &(c).explain,                           \
     .help = "output: per op its share of the error, why, and what would help; FILE.json for programs"},              \
    {.name = "--mix_mode", .kind = MICA_OPT_CHOICE,                                                                    \
     .choices = "8_16,4_8,w4a8,wi8ai8_fp,wi4ai4_wi8ai8,wi4ai8_wi8ai8", .default_text = "8_16", .dest = &(c).mix_mode,  \
     .help = "modes to mix: INT8 and float; 4_8: INT4 and INT8; w4a8: 4-bit weights (W4INT8) and INT8; the cheapest mix whose outputs keep --expected_cos (0.95 of INT8's), or the best one of --max_cost below 0; the long names mean the same"}

struct calibration_job;

/* Which of the options that only a search reads was given; sets settings->idle. */
void calibration_search_given(const mica_option_table *table, calibration_search_settings *settings);
/* Checks the options; sets job->searches. */
mica_status calibration_read_search(struct calibration_job *job, mica_error *err);
/* The mode of 4 bits that --mix_mode mixes with INT8; false: it mixes with float. */
bool calibration_mixes_narrow(const struct calibration_job *job, mica_mode *out_mode);
/* --histogram_bin_num, when all methods are known. */
mica_status calibration_check_bins(const struct calibration_job *job, mica_error *err);
/* Searches with the table of the job, and explains what came out. */
mica_status calibration_search(struct calibration_job *job, mica_error *err);

/* --part_quantize; needs the processor and whether there is a search. */
mica_status calibration_read_patterns(struct calibration_job *job, mica_error *err);
/* Writes the table of --part_quantize, or `qtable` beside the ranges for a known kind of model. */
mica_status calibration_patterns(struct calibration_job *job, mica_error *err);
/* --part_asymmetric: lists ops in the table. */
void calibration_part_asymmetric(const struct calibration_job *job, mica_cali_table *table);
/* Adds the rows of a known kind of model. */
void calibration_add_family(const struct calibration_job *job, mica_qtable *table);

#endif
